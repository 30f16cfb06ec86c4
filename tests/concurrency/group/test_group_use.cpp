// SPDX-License-Identifier: BSL-1.0
// Task groups as programs use them, and what becomes of the errors that pass through.
#include "concurrency/cancel.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using concurrency::BaseExceptionGroup;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

namespace {

// An error that is counted.
class Tracked : public std::runtime_error {
public:
    explicit Tracked(std::shared_ptr<int> mark)
        : std::runtime_error("tracked"), mark_(std::move(mark)) {}

private:
    std::shared_ptr<int> mark_;
};

Task<> wait_and_note(std::string& text, char name, int waits) {
    for (int i = 0; i < waits; ++i) {
        co_await checkpoint();
    }
    text += name;
}

}  // namespace

TEST_CASE(
    "task::test_task_group_creation task::test_task_group_start_soon "
    "taskgroup::test_taskgroup_happy_path_completion: tasks of different length have "
    "all "
    "ended after the block",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        std::string done;
        co_await create_task_group([&](auto& group) -> Task<> {
            static_assert(std::is_same_v<decltype(group), TaskGroup&>);
            group.start_soon(wait_and_note, std::ref(done), 'a', 4);
            group.start_soon(wait_and_note, std::ref(done), 'b', 1);
            group.start_soon(wait_and_note, std::ref(done), 'c', 2);
            CHECK(done.empty());
            co_return;
        });
        CHECK(done == "bca");
    });
}

TEST_CASE(
    "task::test_task_group_start taskgroup::test_taskgroup_start_with_initialization: "
    "start gives what the task says when it is ready, not when it has ended",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        bool is_initialised = false;
        int ended = 0;
        const auto serve = [&](int port, TaskStatus<int>& status) -> Task<> {
            co_await checkpoint();
            is_initialised = true;
            status.started(port + 1);
            co_await checkpoint();
            ++ended;
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const int port = co_await group.start<int>(serve, 80);
            CHECK(port == 81);
            CHECK(is_initialised);
            CHECK(ended == 0);
            group.start_soon([&]() -> Task<> {
                ++ended;
                co_return;
            });
        });
        CHECK(ended == 2);
    });
}

TEST_CASE(
    "task::test_task_group_error_propagation task::test_task_group_multiple_errors: "
    "two "
    "that fail are both in the group of errors",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        auto groups = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> {
                    throw std::out_of_range("range");
                    co_return;
                });
                group.start_soon([]() -> Task<> {
                    throw std::bad_alloc();
                    co_return;
                });
                co_return;
            });
        };
        int range = 0;
        int memory = 0;
        try {
            co_await groups();
        } catch (const concurrency::ExceptionGroup& group) {
            for (const std::exception_ptr& one : group.exceptions()) {
                try {
                    std::rethrow_exception(one);
                } catch (const std::out_of_range&) {
                    ++range;
                } catch (const std::bad_alloc&) {
                    ++memory;
                }
            }
        }
        CHECK(range == 1);
        CHECK(memory == 1);
    });
}

TEST_CASE(
    "taskgroup::test_error_in_one_task_cancels_peers_promptly: an error ends a long "
    "sleep",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        bool woke = false;
        auto groups = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await sleep(3600);
                    woke = true;
                });
                group.start_soon([]() -> Task<> {
                    co_await checkpoint();
                    throw std::invalid_argument("no");
                });
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(groups), == "[no]");
        CHECK_FALSE(woke);
    });
}

TEST_CASE(
    "taskgroup::test_taskgroup_mixed_success_and_cancellation: those that have ended "
    "stay so, those that wait see the cancellation, and nothing is thrown",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        int finished = 0;
        int cancelled = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 3; ++i) {
                group.start_soon([&]() -> Task<> {
                    co_await checkpoint();
                    ++finished;
                });
                group.start_soon([&]() -> Task<> {
                    try {
                        co_await sleep_forever();
                    } catch (const Cancelled&) {
                        ++cancelled;
                        throw;
                    }
                });
            }
            while (finished < 3) {
                co_await checkpoint();
            }
            group.cancel_scope().cancel();
        });
        CHECK(finished == 3);
        CHECK(cancelled == 3);
    });
}

TEST_CASE(
    "taskgroup::test_taskgroup_cancel_scope_propagation: cancelling a group reaches "
    "the "
    "tasks of a group in it, and the host of that",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        int cancelled = 0;
        const auto wait = [&]() -> Task<> {
            try {
                co_await sleep_forever();
            } catch (const Cancelled&) {
                ++cancelled;
                throw;
            }
        };
        co_await create_task_group([&](TaskGroup& outer) -> Task<> {
            outer.start_soon([&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                    inner.start_soon(wait);
                    co_await wait();
                });
                cancelled = 100;
            });
            co_await checkpoint();
            co_await checkpoint();
            outer.cancel_scope().cancel();
        });
        CHECK(cancelled == 2);
    });
}

TEST_CASE(
    "taskgroups::nested_exception_group_filtering: a cancelled scope takes Cancelled "
    "out "
    "of groups in groups, and leaves the rest as it is",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        const auto error = std::make_exception_ptr(std::runtime_error("x"));
        CancelScope scope;
        auto body = [&]() -> Task<> {
            scope.cancel();
            std::exception_ptr cancellation;
            try {
                co_await checkpoint();
            } catch (const Cancelled&) {
                cancellation = std::current_exception();
            }
            const auto inner =
                std::make_exception_ptr(BaseExceptionGroup("in", {error, cancellation})
                );
            throw BaseExceptionGroup("out", {inner});
        };
        std::exception_ptr leaf;
        std::string messages;
        try {
            co_await scope.run(body);
        } catch (const BaseExceptionGroup& outer) {
            messages = outer.message();
            CHECK(outer.exceptions().size() == 1);
            try {
                std::rethrow_exception(outer.exceptions()[0]);
            } catch (const BaseExceptionGroup& inner) {
                messages += ' ' + inner.message();
                CHECK(inner.exceptions().size() == 1);
                leaf = inner.exceptions()[0];
            }
        }
        CHECK(messages == "out in");
        CHECK(leaf == error);
    });
}

TEST_CASE(
    "taskgroups::Refcycles.exception_refcycles_parent_task: nothing keeps an error "
    "that "
    "passed two groups",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        const auto mark = std::make_shared<int>(0);
        try {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await create_task_group([&](TaskGroup&) -> Task<> {
                        throw Tracked(mark);
                        co_return;
                    });
                });
                co_return;
            });
        } catch (const BaseExceptionGroup&) {
            CHECK(mark.use_count() == 2);
        }
        CHECK(mark.use_count() == 1);
    });
}

TEST_CASE(
    "taskgroups::Refcycles.exception_refcycles_propagate_cancellation_error: nothing "
    "keeps what came out with a cancellation that was absorbed",
    "[group_use]"
) {
    // A Cancelled cannot be counted; what a local of its way holds can.
    test::over_backends([]() -> Task<> {
        const auto mark = std::make_shared<int>(0);
        CancelScope scope;
        auto body = [&]() -> Task<> {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon([held = mark]() -> Task<> {
                    co_await sleep_forever();
                });
                co_await checkpoint();
                scope.cancel(std::string(1000, 'x'));
                co_await checkpoint();
            });
        };
        CHECK_AWAITED(scope.run(body), == false);
        CHECK(scope.cancelled_caught());
        CHECK(mark.use_count() == 1);
        CHECK(std::current_exception() == nullptr);
    });
}

TEST_CASE(
    "trio.run::exc_info: tasks that hold errors across waits throw each its own",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        const auto hold = [](const char* text) -> Task<std::string> {
            std::exception_ptr held;
            try {
                throw std::runtime_error(text);
            } catch (const std::runtime_error&) {
                held = std::current_exception();
            }
            for (int i = 0; i < 5; ++i) {
                co_await checkpoint();
            }
            try {
                std::rethrow_exception(held);
            } catch (const std::runtime_error& error) {
                co_return error.what();
            }
        };
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const char* text : {"one", "two"}) {
                group.start_soon([&hold, text]() -> Task<> {
                    const std::string seen = co_await hold(text);
                    CHECK(seen == text);
                });
            }
            co_return;
        });
    });
}

TEST_CASE(
    "trio.run::start_exception_preserves_cause_and_context: an error that start throws "
    "has what was nested in it",
    "[group_use]"
) {
    test::over_backends([]() -> Task<> {
        const auto fails = [](TaskStatus<>&) -> Task<> {
            try {
                throw std::out_of_range("cause");
            } catch (const std::out_of_range&) {
                std::throw_with_nested(std::runtime_error("effect"));
            }
            co_return;
        };
        std::string causes;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            try {
                co_await group.start(fails);
            } catch (const std::runtime_error& error) {
                causes = error.what();
                try {
                    std::rethrow_if_nested(error);
                } catch (const std::out_of_range& cause) {
                    causes += std::string(" by ") + cause.what();
                }
            }
        });
        CHECK(causes == "effect by cause");
    });
}
