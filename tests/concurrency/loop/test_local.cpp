// SPDX-License-Identifier: BSL-1.0
// TaskLocal and RunVar: values of a task, and of a run.
#include "concurrency/local.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::LookupError;
using concurrency::RunVar;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskLocal;
using concurrency::ValueError;

TEST_CASE("TaskLocal: the value that was set, or a default", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> depth("depth");
        TaskLocal<std::string> user("user", "nobody");
        CHECK(depth.name() == "depth");
        CHECK_THROWS_AS(depth.get(), LookupError);
        CHECK(depth.get(7) == 7);
        CHECK(user.get() == "nobody");
        CHECK(user.get("guest") == "guest");
        depth.set(1);
        user.set("ann");
        CHECK(depth.get() == 1);
        CHECK(depth.get(7) == 1);
        CHECK(user.get("guest") == "ann");
        depth.set(2);
        CHECK(depth.get() == 2);
        co_await checkpoint();
        CHECK(depth.get() == 2);
        CHECK(user.get() == "ann");
    });
}

TEST_CASE("TaskLocal: a task begins with the values of its starter", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> value("value", 0);
        value.set(1);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto child = [&](int expected) -> Task<> {
                CHECK(value.get() == expected);
                value.set(100 + expected);
                co_await checkpoint();
                CHECK(value.get() == 100 + expected);
            };
            group.start_soon(child, 1);
            value.set(2);  // not seen by a task that has been started, though not begun
            group.start_soon(child, 2);
            const auto serve = [&](concurrency::TaskStatus<>& status) -> Task<> {
                CHECK(value.get() == 2);
                value.set(3);
                status.started();
                co_return;
            };
            co_await group.start(serve);
            CHECK(value.get() == 2);
            // Of the starter, not of the group's host.
            group.start_soon([&]() -> Task<> {
                value.set(5);
                group.start_soon(child, 5);
                co_return;
            });
        });
        CHECK(value.get() == 2);
    });
}

TEST_CASE("TaskLocal: a run begins without values", "[local]") {
    TaskLocal<int> value("value");
    test::each_backend([&](concurrency::Backend backend) {
        concurrency::run(
            [&]() -> Task<> {
                CHECK_THROWS_AS(value.get(), LookupError);
                value.set(1);
                co_return;
            },
            backend
        );
    });
    CHECK_THROWS_AS(value.get(), concurrency::RuntimeError);
    CHECK_THROWS_AS(value.set(1), concurrency::RuntimeError);
}

TEST_CASE("TaskLocal: reset() gives back the value before", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> value("value");
        TaskLocal<int> other("other", 10);
        auto first = value.set(1);
        auto second = value.set(2);
        other.set(11);
        value.reset(second);
        CHECK(value.get() == 1);
        CHECK(other.get() == 11);  // set since, and untouched
        value.reset(std::move(first));
        CHECK_THROWS_AS(value.get(), LookupError);
        CHECK(value.get(5) == 5);
        CHECK(other.get() == 11);
        // In any order, as in Python: what counts is what the token saw.
        auto third = value.set(3);
        auto fourth = value.set(4);
        value.reset(third);
        CHECK(value.get(0) == 0);
        value.reset(fourth);
        CHECK(value.get() == 3);
        co_return;
    });
}

TEST_CASE("TaskLocal: a token is for one reset in its own task", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> value("value");
        TaskLocal<int> other("other");
        auto token = value.set(1);
        CHECK_THROWS_AS(other.reset(token), ValueError);
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_THROWS_AS(value.reset(token), ValueError);
                co_return;
            });
            co_return;
        });
        value.reset(token);
        CHECK_THROWS_AS(value.reset(token), ValueError);
        auto second = value.set(2);
        auto moved = std::move(second);
        CHECK_THROWS_AS(
            value.reset(second), ValueError
        );  // NOLINT(bugprone-use-after-move)
        value.reset(moved);
        CHECK_THROWS_AS(value.get(), LookupError);
    });
}

TEST_CASE("TaskLocal: scoped() sets for as long as its guard lives", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> value("value", 0);
        TaskLocal<int> other("other", 0);
        {
            const auto outer = value.scoped(1);
            CHECK(value.get() == 1);
            {
                const auto inner = value.scoped(2);
                co_await checkpoint();
                CHECK(value.get() == 2);
                other.set(5);
                value.set(3);
            }
            CHECK(value.get() == 1);
            CHECK(other.get() == 5);
        }
        CHECK(value.get() == 0);
        CHECK(value.get(9) == 9);
        CHECK(other.get() == 5);
        // An exception leaves it as well.
        try {
            const auto guard = value.scoped(7);
            throw std::runtime_error("out");
        } catch (const std::runtime_error&) {
            CHECK(value.get() == 0);
        }
    });
}

TEST_CASE("TaskLocal: a guard that outlives its task does nothing", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> value("value", 0);
        using Guard = decltype(value.scoped(1));
        std::unique_ptr<Guard> kept;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                kept = std::unique_ptr<Guard>(new Guard(value.scoped(1)));
                co_return;
            });
            co_return;
        });
        value.set(5);
        kept.reset();
        CHECK(value.get() == 5);
    });
}

TEST_CASE("TaskLocal: values die with the last task that has them", "[local]") {
    TaskLocal<std::shared_ptr<int>> value("value");
    test::each_backend([&](concurrency::Backend backend) {
        std::weak_ptr<int> seen;
        concurrency::run(
            [&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        auto object = std::make_shared<int>(1);
                        seen = object;
                        value.set(std::move(object));
                        group.start_soon([&]() -> Task<> {
                            co_await checkpoint();
                            CHECK(*value.get() == 1);
                        });
                        co_return;
                    });
                    co_return;
                });
                CHECK(seen.expired());
                auto object = std::make_shared<int>(2);
                seen = object;
                value.set(std::move(object));
                value.set(nullptr);
                CHECK(seen.expired());
            },
            backend
        );
    });
}

TEST_CASE("TaskLocal: a hundred variables, set again and again", "[local]") {
    test::over_backends([]() -> Task<> {
        std::vector<std::unique_ptr<TaskLocal<int>>> variables;
        for (int i = 0; i < 100; ++i) {
            variables.push_back(std::make_unique<TaskLocal<int>>());
        }
        for (int round = 0; round < 20; ++round) {
            for (int i = 0; i < 100; ++i) {
                variables[static_cast<std::size_t>(i)]->set(round * i);
            }
        }
        for (int i = 0; i < 100; ++i) {
            CHECK(variables[static_cast<std::size_t>(i)]->get() == 19 * i);
        }
        co_return;
    });
}

TEST_CASE(
    "lowlevel::RunVar.get_set: a RunVar is shared by the tasks of a run, and gone "
    "after it",
    "[local]"
) {
    RunVar<int> value("value");
    test::each_backend([&](concurrency::Backend backend) {
        concurrency::run(
            [&]() -> Task<> {
                CHECK_THROWS_AS(value.get(), LookupError);
                CHECK(value.get(3) == 3);
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        value.set(1);
                        co_return;
                    });
                    co_return;
                });
                CHECK(value.get() == 1);
            },
            backend
        );
    });
    CHECK_THROWS_AS(value.get(), concurrency::RuntimeError);
}

TEST_CASE(
    "lowlevel::RunVar.reset_token_used_on_wrong_runvar "
    "lowlevel::RunVar.reset_token_used_twice: a token is for one reset of its RunVar",
    "[local]"
) {
    RunVar<int> value("value");
    RunVar<int> other("other");
    std::optional<concurrency::LocalToken> kept;
    test::each_backend([&](concurrency::Backend backend) {
        concurrency::run(
            [&]() -> Task<> {
                auto token = value.set(1);
                CHECK_THROWS_AS(other.reset(token), ValueError);
                // By any task.
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon([&]() -> Task<> {
                        value.reset(token);
                        co_return;
                    });
                    co_return;
                });
                CHECK_THROWS_AS(value.get(), LookupError);
                CHECK_THROWS_AS(value.reset(token), ValueError);
                if (kept) {
                    CHECK_THROWS_AS(value.reset(*kept), ValueError);  // another run's
                }
                kept.emplace(value.set(2));
            },
            backend
        );
    });
}

TEST_CASE(
    "lowlevel::RunVar.runvar_does_not_share_storage_by_name: two of one name are two",
    "[local]"
) {
    test::over_backends([]() -> Task<> {
        RunVar<int> number("name");
        RunVar<std::string> text("name");
        number.set(1);
        text.set("one");
        CHECK(number.get() == 1);
        CHECK(text.get() == "one");
        co_return;
    });
}

TEST_CASE(
    "lowlevel::RunVar.context_manager: a guard restores the value before, down to the "
    "default",
    "[local]"
) {
    test::over_backends([]() -> Task<> {
        RunVar<int> value("value", 0);
        {
            const auto outer = value.scoped(1);
            {
                const auto inner = value.scoped(2);
                CHECK(value.get() == 2);
            }
            CHECK(value.get() == 1);
        }
        CHECK(value.get() == 0);
        co_return;
    });
}

TEST_CASE("TaskLocal: a value needs no name, unless it could be one", "[local]") {
    test::over_backends([]() -> Task<> {
        TaskLocal<int> depth{1};
        CHECK(depth.get() == 1);
        CHECK(depth.name().empty());
        TaskLocal<std::optional<int>> none(std::nullopt);
        CHECK(none.get() == std::nullopt);
        TaskLocal<std::string> user("user");
        CHECK(user.name() == "user");
        CHECK_THROWS_AS(user.get(), LookupError);
        co_return;
    });
}
