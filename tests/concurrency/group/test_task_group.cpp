// SPDX-License-Identifier: BSL-1.0
// Task groups: tasks end with their block, and errors come out of it.
#include "concurrency/current_task.hpp"
#include "concurrency/task_group.hpp"
#include "support/catch.hpp"
#include "support/mock_time.hpp"

#include <functional>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::ExceptionGroup;
using concurrency::sleep;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

Task<> fail_with(std::string text) {
    throw std::runtime_error(text);
    co_return;
}

// Waits until it is cancelled, and says so.
Task<> until_cancelled(bool& cancelled) {
    try {
        co_await sleep_forever();
    } catch (const Cancelled&) {
        cancelled = true;
        throw;
    }
}

Task<> fail_when_cancelled(std::string text) {
    try {
        co_await sleep_forever();
    } catch (const Cancelled&) {
        // and then:
    }
    throw std::runtime_error(text);
}

}  // namespace

TEST_CASE("taskgroups::success: the block ends when all tasks have", "[task_group]") {
    test::with_mock_clock([]() -> Task<> {
        std::vector<int> done;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (int i = 0; i < 5; ++i) {
                group.start_soon(
                    [&done](int n) -> Task<> {
                        co_await sleep(0.001 * (5 - n));
                        done.push_back(n);
                    },
                    i
                );
            }
            CHECK(done.empty());
            co_return;
        });
        CHECK(done.size() == 5);
    });
}

TEST_CASE(
    "taskgroups::already_closed taskgroups::start_soon_after_error "
    "taskgroups::start_already_closed trio.run::nursery_closure: a "
    "group that has ended starts nothing",
    "[task_group]"
) {
    CHECK_FALSE(std::is_default_constructible_v<TaskGroup>);
    test::with_mock_clock([]() -> Task<> {
        std::optional<TaskGroup> kept;
        bool ran = false;
        const auto body = [&](TaskGroup& group) -> Task<> {
            kept = group;
            co_return;
        };
        auto child = [&]() -> Task<> {
            ran = true;
            co_return;
        };
        co_await create_task_group(body);
        CHECK_THROWS_AS(kept->start_soon(child), concurrency::RuntimeError);
        auto start = [&] {
            return kept->start([&](auto&) { return child(); });
        };
        CHECK_AWAITED(
            test::thrown_by(start),
            == "the task group has ended, and starts no more tasks"
        );
        kept->cancel();
        auto fails = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                kept = group;
                throw std::runtime_error("body");
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(fails), == "[body]");
        CHECK_THROWS_AS(kept->start_soon(child), concurrency::RuntimeError);
        co_await checkpoint();
        CHECK_FALSE(ran);
    });
}

TEST_CASE(
    "taskgroups::start_soon_while_running: a task starts another while the block waits",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool done = false;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&done, &group]() -> Task<> {
                co_await sleep(0.001);
                group.start_soon([&done]() -> Task<> {
                    co_await sleep(0.001);
                    done = true;
                });
            });
            co_return;
        });
        CHECK(done);
    });
}

TEST_CASE(
    "trio.run::basic_interleave taskgroups::eager_task_factory "
    "taskgroups::task_in_sync_spawn_callback: tasks begin in their turn, and take "
    "turns",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        std::string order;
        const auto host = concurrency::current_task();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const char name : {'a', 'b'}) {
                group.start_soon([&, name] {
                    CHECK_FALSE(concurrency::current_task() == host);
                    return [](std::string& text, char c) -> Task<> {
                        for (int i = 0; i < 3; ++i) {
                            text += c;
                            co_await checkpoint();
                        }
                    }(order, name);
                });
            }
            CHECK(order.empty());
            co_return;
        });
        CHECK(order == "ababab");
    });
}

TEST_CASE(
    "taskgroups::empty_taskgroup_contains_yield_point trio.run::trivial_yields.a "
    "taskgroups::cancel_before_entering_task_group: the end of a group lets others "
    "run, and is no cancel point",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        co_await create_task_group([](TaskGroup& outer) -> Task<> {
            for (int i = 0; i < 2; ++i) {
                bool ran = false;
                co_await create_task_group([&](TaskGroup&) -> Task<> {
                    outer.start_soon([&ran]() -> Task<> {
                        ran = true;
                        co_return;
                    });
                    co_return;
                });
                CHECK(ran);
            }
        });
        CancelScope scope;
        bool after = false;
        const bool completed = co_await scope.run([&]() -> Task<> {
            scope.cancel();
            co_await create_task_group([](TaskGroup&) -> Task<> { co_return; });
            co_await create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon([]() -> Task<> { co_return; });
                co_return;
            });
            after = true;
        });
        CHECK(completed);
        CHECK(after);
    });
}

TEST_CASE(
    "trio.run::two_child_crashes trio.run::child_crash_basic "
    "taskgroups::exception_group_children "
    "taskgroups::exception_cancels_siblings: every error comes out, in order",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto one = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon(fail_with, "a");
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(one), == "[a]");
        auto two = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon(fail_with, "a");
                group.start_soon(fail_with, "b");
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(two), == "[a, b]");
        bool cancelled = false;
        auto siblings = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(fail_when_cancelled, "cleanup");
                group.start_soon(until_cancelled, std::ref(cancelled));
                co_await sleep(0.001);
                group.start_soon(fail_with, "first");
            });
        };
        CHECK_AWAITED(test::thrown_by(siblings), == "[first, cleanup]");
        CHECK(cancelled);
    });
}

TEST_CASE(
    "taskgroups::host_exception taskgroups::failing_host_task_cancels_children "
    "trio.run::nursery_main_block_error_basic "
    "trio.run::nursery_explicit_exception trio.run::main_and_task_both_crash "
    "taskgroups::exception_group_host: an error of the body "
    "cancels the tasks",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool cancelled = false;
        auto body = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(until_cancelled, std::ref(cancelled));
                group.start_soon(fail_when_cancelled, "child");
                co_await checkpoint();
                throw std::runtime_error("body");
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "[body, child]");
        CHECK(cancelled);
        auto both = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon(fail_with, "child");
                throw std::runtime_error("body");
                co_return;
            });
        };
        CHECK_AWAITED(test::thrown_by(both), == "[body, child]");
    });
}

TEST_CASE(
    "taskgroups::failing_child_task_cancels_host trio.run::child_crash_wakes_parent "
    "trio.run::task_crash_propagation: an "
    "error of a task cancels the body",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        bool cancelled = false;
        auto body = [&] {
            return create_task_group([&](TaskGroup& group) -> Task<> {
                group.start_soon(fail_with, "child");
                co_await until_cancelled(cancelled);
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "[child]");
        CHECK(cancelled);
        auto fails_itself = [] {
            return create_task_group([](TaskGroup& group) -> Task<> {
                group.start_soon(fail_with, "child");
                co_await fail_when_cancelled("body");
            });
        };
        CHECK_AWAITED(test::thrown_by(fails_itself), == "[child, body]");
    });
}

TEST_CASE(
    "taskgroups::nested_task_group_filtering trio.run::nursery_collapse: groups in "
    "groups keep their shape",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        auto nested = [] {
            return create_task_group([](TaskGroup& outer) -> Task<> {
                outer.start_soon(fail_when_cancelled, "outer");
                co_await create_task_group([](TaskGroup& inner) -> Task<> {
                    inner.start_soon(fail_with, "deep");
                    co_await sleep_forever();
                });
            });
        };
        CHECK_AWAITED(test::thrown_by(nested), == "[[deep], outer]");
    });
}

TEST_CASE(
    "trio.run::cancel_scope_exceptiongroup_filtering trio.run::trivial_yields.b "
    "taskgroups::single_cancellation_exc: cancellations leave no trace in a group's "
    "errors",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        CancelScope scope;
        auto errors = [&] {
            return scope.run([&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon(sleep_forever);
                    group.start_soon(fail_when_cancelled, "real");
                    co_await checkpoint();
                    scope.cancel();
                    co_await sleep_forever();
                });
            });
        };
        CHECK_AWAITED(test::thrown_by(errors), == "[real]");
        CancelScope other;
        std::string seen;
        co_await other.run([&]() -> Task<> {
            std::exception_ptr error;
            try {
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon(sleep_forever);
                    co_await checkpoint();
                    other.cancel();
                    co_await sleep_forever();
                });
            } catch (...) {
                error = std::current_exception();
            }
            seen = test::in_words(error);
            std::rethrow_exception(error);
        });
        CHECK(seen == "Cancelled");
    });
}

TEST_CASE(
    "trio.run::locals_destroyed_promptly_on_cancel: what tasks captured and were given "
    "lives until they end, and no longer",
    "[task_group]"
) {
    struct Counted {
        explicit Counted(int& n) : count(&n) { ++*count; }

        Counted(const Counted& other) : count(other.count) { ++*count; }

        Counted& operator=(const Counted&) = delete;

        ~Counted() { --*count; }

        int* count;
    };

    test::with_mock_clock([]() -> Task<> {
        int count = 0;
        std::string text;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            {
                const std::string captured(100, 'x');
                group.start_soon(
                    [captured, &text](std::string given, Counted) -> Task<> {
                        co_await sleep(0.001);
                        text = captured + given;
                    },
                    std::string("tail"),
                    Counted(count)
                );
            }
            group.start_soon(
                [held = Counted(count)](Counted) -> Task<> {
                    co_await sleep_forever();
                },
                Counted(count)
            );
            CHECK(count == 3);
            co_await sleep(0.01);
            group.cancel();
        });
        CHECK(text.size() == 104);
        CHECK(count == 0);
    });
}

TEST_CASE(
    "taskgroups::Refcycles.exception_refcycles_direct "
    "taskgroups::Refcycles.exception_refcycles_errors "
    "taskgroups::Refcycles.exception_refcycles_base_error: nothing keeps an error that "
    "was handled",
    "[task_group]"
) {
    static int alive = 0;

    struct Error {
        Error() { ++alive; }

        Error(const Error&) { ++alive; }

        Error& operator=(const Error&) = delete;

        ~Error() { --alive; }
    };

    test::with_mock_clock([]() -> Task<> {
        std::optional<TaskGroup> kept;
        bool is_base = false;
        try {
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                kept = group;
                group.start_soon([]() -> Task<> {
                    throw Error();
                    co_return;
                });
                co_return;
            });
        } catch (const ExceptionGroup&) {
            is_base = false;
        } catch (const concurrency::BaseExceptionGroup&) {
            is_base = true;
        }
        CHECK(is_base);
        CHECK(alive == 0);
    });
}

TEST_CASE(
    "taskgroups::start_soon_parent_id: tasks have names, and the host of their group "
    "as their parent",
    "[task_group]"
) {
    test::with_mock_clock([]() -> Task<> {
        const auto host = concurrency::current_task();
        int checked = 0;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon({.name = "named"}, [&]() -> Task<> {
                CHECK(concurrency::current_task().name() == "named");
                group.start_soon([&]() -> Task<> {
                    CHECK(concurrency::current_task().parent_id() == host.id());
                    CHECK_FALSE(concurrency::current_task().name().empty());
                    ++checked;
                    co_return;
                });
                ++checked;
                co_return;
            });
            co_return;
        });
        CHECK(checked == 2);
    });
}
