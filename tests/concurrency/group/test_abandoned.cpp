// SPDX-License-Identifier: BSL-1.0
// A loop that ends before its tasks: they are destroyed where they are, whatever they
// wait in.
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/post.hpp>

#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <utility>

namespace asio = boost::asio;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::shield;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;
using concurrency::testing::wait_all_tasks_blocked;

namespace {

// Counts what is alive, and calls something when it is destroyed.
class Local {
public:
    explicit Local(int& alive, std::function<void()> at_end = {})
        : alive_(alive), at_end_(std::move(at_end)) {
        ++alive_;
    }

    Local(const Local&) = delete;
    Local& operator=(const Local&) = delete;

    ~Local() {
        --alive_;
        if (at_end_) {
            at_end_();
        }
    }

private:
    int& alive_;
    std::function<void()> at_end_;
};

// Holds something while it awaits a body.
template <class Body>
Task<> hold(int& alive, Body body) {
    const Local here(alive);
    co_await body();
}

// Runs the body in an io_context that is stopped once all tasks wait, or after the
// first steps.
template <class Body>
void run_and_stop(Body body, bool in_the_middle = false) {
    asio::io_context context;
    const auto main = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                if (!in_the_middle) {
                    co_await wait_all_tasks_blocked();
                }
                context.stop();
                co_await sleep_forever();
            });
            co_await body(group);
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), concurrency::RuntimeError);
}

}  // namespace

TEST_CASE(
    "abandoned: tasks that wait in everything that can be waited in leave nothing",
    "[abandoned]"
) {
    int alive = 0;
    int most = 0;
    run_and_stop([&](TaskGroup& group) -> Task<> {
        const Local here(alive);
        const auto keep = [&](auto body) {
            group.start_soon([&alive, body]() -> Task<> {
                co_await hold(alive, body);
            });
        };
        keep([] { return sleep_forever(); });
        keep([] { return sleep(3600); });
        keep([] { return shield(sleep_forever()); });
        keep([] { return concurrency::move_on_after(3600, sleep_forever()); });
        keep([] { return concurrency::fail_after(3600, sleep(7200)); });
        keep([] { return wait_all_tasks_blocked(3600); });
        keep([&] {
            return create_task_group([&alive](TaskGroup& inner) -> Task<> {
                inner.start_soon([&alive]() -> Task<> {
                    co_await hold(alive, [] { return sleep(60); });
                });
                co_await hold(alive, [] { return shield(sleep_forever()); });
            });
        });
        keep([&group, &alive] {  // in start(), for a task of the group
            return group.start([&alive](TaskStatus<>&) -> Task<> {
                co_await hold(alive, [] { return sleep_forever(); });
            });
        });
        keep([&alive]() -> Task<> {  // at the end of a group that was cancelled
            CancelScope outer;
            co_await outer.run([&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                    inner.start_soon([&alive]() -> Task<> {
                        co_await hold(alive, [] { return shield(sleep_forever()); });
                    });
                    co_await checkpoint();
                    outer.cancel();
                });
            });
        });
        while (alive < 14) {
            co_await checkpoint();
        }
        most = alive;
        co_await sleep_forever();
    });
    CHECK(most == 14);
    CHECK(alive == 0);
}

TEST_CASE(
    "abandoned: tasks that are ready, or have not begun, leave nothing", "[abandoned]"
) {
    int alive = 0;
    int begun = 0;
    run_and_stop(
        [&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 10; ++i) {
                group.start_soon(
                    [&begun](std::shared_ptr<Local>) -> Task<> {
                        ++begun;
                        for (;;) {
                            co_await checkpoint();
                        }
                    },
                    std::make_shared<Local>(alive)
                );
            }
            co_await sleep_forever();
        },
        true
    );
    CHECK(alive == 0);
}

TEST_CASE(
    "abandoned: destructors may cancel scopes, move deadlines and try to start tasks",
    "[abandoned]"
) {
    int alive = 0;
    std::string refused;
    run_and_stop([&](TaskGroup& group) -> Task<> {
        CancelScope outer;
        const Local here(alive, [&] {
            outer.cancel();
            group.cancel();
        });
        co_await outer.run([&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                for (int i = 0; i < 3; ++i) {
                    inner.start_soon([&, i]() -> Task<> {
                        CancelScope scope({.deadline = 1e9 + i});
                        co_await scope.run([&, i]() -> Task<> {
                            const Local local(alive, [&, i] {
                                scope.set_deadline(2e9 + i);
                                scope.cancel();
                                outer.set_shield(true);
                                outer.cancel("from a destructor");
                                try {
                                    inner.start_soon(sleep_forever);
                                } catch (const concurrency::RuntimeError& e) {
                                    refused = e.what();
                                }
                            });
                            co_await sleep(3600 + i);
                        });
                    });
                }
                co_await sleep_forever();
            });
        });
    });
    CHECK(alive == 0);
    CHECK(refused == "the task group has ended, and starts no more tasks");
}

TEST_CASE("abandoned: destructors may fail inside", "[abandoned]") {
    int alive = 0;
    int handled = 0;
    run_and_stop([&](TaskGroup& group) -> Task<> {
        const auto fails_inside = [&] {
            try {
                throw std::runtime_error("inside");
            } catch (const std::runtime_error&) {
                ++handled;
            }
        };
        group.start_soon([&]() -> Task<> {
            const Local here(alive, fails_inside);
            co_await sleep_forever();
        });
        const Local here(alive, fails_inside);
        co_await sleep_forever();
    });
    CHECK(alive == 0);
    CHECK(handled == 2);
}

TEST_CASE(
    "abandoned: handles and scopes that outlive the loop are harmless", "[abandoned]"
) {
    std::optional<TaskGroup> kept;
    CancelScope scope({.deadline = 1e9});
    Task<> never_awaited;
    run_and_stop([&](TaskGroup& group) -> Task<> {
        kept = group;
        group.cancel_scope().set_deadline(concurrency::current_time() + 3600);
        never_awaited = sleep(1);
        co_await scope.run(sleep_forever());
    });
    CHECK_FALSE(scope.cancel_called());
    scope.set_deadline(1);
    scope.cancel();
    kept->cancel();
    CHECK_THROWS_AS(kept->start_soon(checkpoint), concurrency::RuntimeError);
    CHECK_THROWS_AS(
        concurrency::run([&]() -> Task<> { co_await scope.run(checkpoint()); }),
        concurrency::RuntimeError
    );
    CHECK_NOTHROW(concurrency::run(std::move(never_awaited)));
}

TEST_CASE("abandoned: thousands of frames and scopes in one another", "[abandoned]") {
    struct Deep {
        static Task<> go(int& alive, int n) {
            const Local here(alive);
            if (n == 0) {
                co_await sleep_forever();
            } else {
                co_await concurrency::move_on_after(3600 + n, go(alive, n - 1));
            }
        }
    };

    int alive = 0;
    run_and_stop([&](TaskGroup&) { return Deep::go(alive, 2'000); });
    CHECK(alive == 0);
}
