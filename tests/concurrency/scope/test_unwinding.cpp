// SPDX-License-Identifier: BSL-1.0
// Destructors of what a cancelled block holds, which may throw, cancel and look around.
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <exception>
#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

// Calls something when it is destroyed, and lets it throw.
class AtEnd {
public:
    explicit AtEnd(std::function<void()> function) : function_(std::move(function)) {}

    AtEnd(const AtEnd&) = delete;
    AtEnd& operator=(const AtEnd&) = delete;

    ~AtEnd() noexcept(false) { function_(); }

private:
    std::function<void()> function_;
};

void fail_at_end() {
    throw std::runtime_error("at the end");
}

// Fails, and handles that itself.
void fail_inside() {
    try {
        fail_at_end();
    } catch (const std::runtime_error&) {
        return;
    }
}

}  // namespace

TEST_CASE(
    "unwinding: a destructor that handles its own failure does not disturb a "
    "cancellation",
    "[unwinding]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        int uncaught = 0;
        co_await scope.run([&]() -> Task<> {
            const AtEnd outer(fail_inside);
            const auto inner = [&]() -> Task<> {
                const AtEnd here([&] {
                    fail_inside();
                    uncaught = std::uncaught_exceptions();
                });
                scope.cancel("unwinding");
                co_await checkpoint();
            };
            co_await inner();
        });
        CHECK(scope.cancelled_caught());
        CHECK(uncaught == 1);
        CHECK(std::uncaught_exceptions() == 0);
    });
}

TEST_CASE(
    "unwinding: what a destructor throws at the end of a cancelled block is its error",
    "[unwinding]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        auto normal_end = [&] {
            return scope.run([&]() -> Task<> {
                const AtEnd here(fail_at_end);
                scope.cancel();
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(normal_end), == "at the end");
        CHECK(scope.cancel_called());
        CHECK_FALSE(scope.cancelled_caught());
        // After the Cancelled was caught, the error takes its place.
        CancelScope other;
        auto after_catching = [&] {
            return other.run([&]() -> Task<> {
                const AtEnd here(fail_at_end);
                other.cancel();
                try {
                    co_await checkpoint();
                } catch (const Cancelled&) {
                    co_return;
                }
            });
        };
        CHECK_AWAITED(test::thrown_by(after_catching), == "at the end");
        auto value = [&] {
            return concurrency::move_on_after(0, []() -> Task<std::string> {
                const AtEnd here(fail_at_end);
                co_return "value";
            });
        };
        CHECK_AWAITED(test::thrown_by(value), == "at the end");
    });
}

TEST_CASE(
    "unwinding: what a destructor throws in a task is an error of its group",
    "[unwinding]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto group_fails = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> {
                    const AtEnd here(fail_at_end);
                    co_await checkpoint();
                });
                co_await sleep_forever();
            });
        };
        CHECK_AWAITED(test::thrown_by(group_fails), == "[at the end]");
    });
}

TEST_CASE(
    "unwinding: a destructor may cancel, move deadlines, and start tasks that see the "
    "cancellation",
    "[unwinding]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope outer;
        CancelScope inner;
        bool begun = false;
        bool after = false;
        bool pending = false;
        co_await outer.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                co_await inner.run([&]() -> Task<> {
                    const AtEnd here([&] {
                        pending = concurrency::cancel_pending();
                        outer.cancel("from a destructor");
                        outer.set_deadline(concurrency::current_time() + 1);
                        group.start_soon([&]() -> Task<> {
                            begun = true;
                            co_await checkpoint();
                            after = true;
                        });
                    });
                    inner.cancel();
                    co_await checkpoint();
                });
            });
        });
        CHECK(pending);
        CHECK(begun);
        CHECK_FALSE(after);
        CHECK_FALSE(inner.cancelled_caught());
        CHECK(outer.cancelled_caught());
    });
}

TEST_CASE(
    "unwinding: destructors of every frame run before the scope ends, innermost first",
    "[unwinding]"
) {
    test::with_mock_clock([]() -> Task<> {
        std::string order;
        CancelScope scope;
        const auto hold = [&](char name, Task<> inner) -> Task<> {
            const AtEnd here([&order, name] { order += name; });
            co_await std::move(inner);
        };
        std::optional<Task<>> stack(sleep_forever());
        for (const char name : {'a', 'b', 'c'}) {
            stack = hold(name, std::move(*stack));
        }
        scope.cancel();
        CHECK_AWAITED(scope.run(std::move(*stack)), == false);
        CHECK(order == "abc");
    });
}
