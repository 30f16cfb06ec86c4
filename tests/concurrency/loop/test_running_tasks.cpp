// SPDX-License-Identifier: BSL-1.0
// get_running_tasks: the tree of tasks, and where each of them waits.
#include "concurrency/cancel.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <string>
#include <vector>

using concurrency::create_task_group;
using concurrency::current_task;
using concurrency::get_running_tasks;
using concurrency::RunningTask;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;

namespace {

Task<> work() {
    co_await sleep_forever();
}

// The tree without the ids, which differ each time.
std::string tree() {
    std::string text;
    for (const RunningTask& task : get_running_tasks()) {
        text += std::string(task.depth(), '.') + task.name() + ':' + task.where() + ' ';
    }
    return text;
}

}  // namespace

TEST_CASE(
    "debugging::get_running_tasks: all tasks are there, with their names and parents",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        const auto host = current_task();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon({.name = "one"}, work);
            group.start_soon({.name = "two"}, work);
            group.start_soon({.name = "inspector"}, [&]() -> Task<> {
                const std::vector<RunningTask> tasks = get_running_tasks();
                REQUIRE(tasks.size() == 4);
                CHECK(tasks[0] == host);
                CHECK_FALSE(tasks[0].parent_id());
                CHECK(tasks[1].name() == "one");
                CHECK(tasks[2].name() == "two");
                CHECK(tasks[3] == current_task());
                for (std::size_t i = 1; i < tasks.size(); ++i) {
                    CHECK(tasks[i].parent_id() == host.id());
                    CHECK(tasks[i].depth() == 1);
                }
                group.cancel();
                co_return;
            });
            co_return;
        });
        CHECK(get_running_tasks().size() == 1);
    });
}

TEST_CASE(
    "get_running_tasks: each task tells in which call it waits", "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon({.name = "a"}, work);
            group.start_soon({.name = "b"}, [] { return concurrency::sleep(3600); });
            CHECK(tree() == "main:running .a:ready .b:ready ");
            co_await concurrency::checkpoint();
            CHECK(tree() == "main:running .a:sleep_forever .b:sleep ");
            group.start_soon({.name = "c"}, [&]() -> Task<> {
                co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                    inner.start_soon({.name = "d"}, [&]() -> Task<> {
                        CHECK(
                            tree() ==
                            "main:TaskGroup .a:sleep_forever .b:sleep .c:TaskGroup "
                            "..d:running "
                        );
                        group.cancel();
                        // What is cancelled is about to run.
                        CHECK(
                            tree() == "main:TaskGroup .a:ready .b:ready .c:TaskGroup "
                                      "..d:running "
                        );
                        co_return;
                    });
                    co_return;
                });
            });
        });
        CHECK(tree() == "main:running ");
    });
}

TEST_CASE(
    "get_running_tasks: a task that start() started is below the one that waits for it",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            const auto serve = [&](concurrency::TaskStatus<>& status) -> Task<> {
                CHECK(tree() == "main:TaskGroup .starter:TaskGroup.start ..s:running ");
                status.started();
                CHECK(tree() == "main:TaskGroup .starter:ready .s:running ");
                group.cancel();
                co_return;
            };
            group.start_soon({.name = "starter"}, [&, serve]() -> Task<> {
                co_await group.start({.name = "s"}, serve);
            });
            co_return;
        });
    });
}

TEST_CASE("get_running_tasks: the tree can be printed", "[running_tasks]") {
    test::over_backends([]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon({.name = "fetch"}, work);
            co_await concurrency::checkpoint();
            const std::vector<RunningTask> tasks = get_running_tasks();
            REQUIRE(tasks.size() == 2);
            const std::string first = "main #" + std::to_string(tasks[0].id());
            const std::string second = "fetch #" + std::to_string(tasks[1].id());
            CHECK(to_string(current_task()) == first + ": running");
            CHECK(
                to_string(tasks) ==
                first + ": running\n  " + second + ": sleep_forever\n"
            );
            group.cancel();
        });
    });
}

TEST_CASE(
    "get_running_tasks: a thousand tasks, each started by the one before",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        concurrency::CancelScope scope;
        std::size_t deepest = 0;
        struct Chain {
            static Task<>
            link(int rest, concurrency::CancelScope& end, std::size_t& depth) {
                if (rest == 0) {
                    depth = get_running_tasks().back().depth();
                    end.cancel();
                    co_return;
                }
                co_await create_task_group([&](TaskGroup& group) -> Task<> {
                    group.start_soon([&, rest] { return link(rest - 1, end, depth); });
                    co_return;
                });
            }
        };
        auto body = [&] {
            return Chain::link(1000, scope, deepest);
        };
        co_await scope.run(body);
        CHECK(deepest == 1000);
    });
}

TEST_CASE("get_running_tasks: outside a loop there are none", "[running_tasks]") {
    CHECK_THROWS_AS(get_running_tasks(), concurrency::RuntimeError);
}

TEST_CASE(
    "debugging::non_main_task_name taskgroups::task_name_custom_name "
    "taskgroup::test_taskgroup_name_passthrough: a task has the name that it was "
    "given, "
    "be it empty",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const char* name : {"given", ""}) {
                const std::string text = name;
                group.start_soon({.name = name}, [text]() -> Task<> {
                    CHECK(current_task().name() == text);
                    co_return;
                });
                const auto serve = [&](concurrency::TaskStatus<>& status) -> Task<> {
                    CHECK(current_task().name() == text);
                    status.started();
                    CHECK(current_task().name() == text);
                    co_return;
                };
                co_await group.start({.name = text}, serve);
            }
        });
    });
}

TEST_CASE(
    "taskgroups::task_name_default trio.run::spawn_name debugging::main_task_name: "
    "without one it is named after what it runs, and the main task is main",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        CHECK(current_task().name() == "main");
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            struct Fetch {
                Task<> operator()() const {
                    const std::string name = current_task().name();
                    CHECK(name.find("Fetch") != std::string::npos);
                    co_return;
                }

                Task<> operator()(concurrency::TaskStatus<>& status) const {
                    const std::string name = current_task().name();
                    CHECK(name.find("Fetch") != std::string::npos);
                    status.started();
                    co_return;
                }
            };
            group.start_soon(Fetch());
            co_await group.start(Fetch());
        });
    });
}

TEST_CASE(
    "trio.run::current_task: the parent of a child is the host of its group",
    "[running_tasks]"
) {
    test::over_backends([]() -> Task<> {
        const auto host = current_task();
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            group.start_soon([host]() -> Task<> {
                CHECK(current_task().parent_id() == host.id());
                CHECK_FALSE(current_task() == host);
                co_return;
            });
            co_return;
        });
    });
}
