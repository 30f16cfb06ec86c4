// SPDX-License-Identifier: BSL-1.0
// What tasks wait in, used from where it does not belong: the child of a fork, another
// loop, a thread outside the loop.
#include "support/fork_child.hpp"
#include "waits.hpp"

#include <functional>
#include <thread>

using concurrency::Task;
using concurrency::TaskGroup;
using test::Stage;

namespace {

struct Call {
    const char* name;
    std::function<void(Stage&)> call;
};

/// Calls that never wait, and would wake a task that waits.
const std::vector<Call>& calls() {
    static const std::vector<Call> all{
        {"Lock.release",
         [](Stage& s) {
             s.lock.release();
         }},
        {"Semaphore.release",
         [](Stage& s) {
             s.semaphore.release();
         }},
        {"CapacityLimiter.set_total_tokens",
         [](Stage& s) {
             s.limiter.set_total_tokens(5);
         }},
        {"Event.set",
         [](Stage& s) {
             s.event.set();
         }},
        {"Condition.notify",
         [](Stage& s) {
             s.condition.notify();
         }},
        {"Queue.put_nowait",
         [](Stage& s) {
             s.empty.put_nowait(1);
         }},
        {"Queue.get_nowait",
         [](Stage& s) {
             s.full.get_nowait();
         }},
        {"Queue.close",
         [](Stage& s) {
             s.full.close();
         }},
        {"PriorityQueue.put_nowait",
         [](Stage& s) {
             s.empty_by_priority.put_nowait(1, 1);
         }},
        {"PriorityQueue.get_nowait",
         [](Stage& s) {
             s.full_by_priority.get_nowait();
         }},
        {"MemoryObjectSendStream.send_nowait",
         [](Stage& s) {
             s.other_stream.first.send_nowait(1);
         }},
        {"MemoryObjectSendStream.close",
         [](Stage& s) {
             s.other_stream.first.close();
         }},
        {"MemoryObjectReceiveStream.receive_nowait",
         [](Stage& s) {
             s.stream.second.receive_nowait();
         }},
        {"MemoryObjectReceiveStream.close",
         [](Stage& s) {
             s.stream.second.close();
         }},
    };
    return all;
}

bool is_refused(const Call& call, Stage& stage) {
    try {
        call.call(stage);
    } catch (const concurrency::RuntimeError&) {
        return true;
    } catch (...) {
        return false;
    }
    return false;
}

/// With a task in each wait, `check(stage)`; nobody was woken afterwards.
template <class Check>
Task<> with_all_waits(Check check) {
    Stage stage;
    stage.prepare();
    co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
        for (const test::Wait<Stage>& wait : test::waits()) {
            group.start_soon([&]() -> Task<> {
                const auto begin = [&] {
                    return wait.begin(stage);
                };
                const std::string thrown = co_await test::thrown_by(begin);
                INFO(test::name_of(wait, 0));
                CHECK(thrown == "nothing");
            });
        }
        co_await concurrency::testing::wait_all_tasks_blocked();
        const std::string before = stage.traces();
        const std::size_t tasks = concurrency::get_running_tasks().size();
        check(stage);
        CHECK(stage.traces() == before);
        co_await concurrency::testing::wait_all_tasks_blocked();
        CHECK(stage.traces() == before);
        CHECK(concurrency::get_running_tasks().size() == tasks);
        group.cancel();
        stage.open();
    });
    CHECK(stage.traces().empty());
}

}  // namespace

TEST_CASE(
    "waits: in the child of a fork they are refused", "[waits][misuse][no-tsan]"
) {
    test::check_after_fork(test::waits());
}

TEST_CASE("waits: what a task waits in is its loop's", "[waits][misuse]") {
    test::check_other_loop(test::waits());
}

TEST_CASE("waits: a thread outside the loop wakes no task", "[waits][misuse]") {
    test::over_backends([]() -> Task<> {
        co_await with_all_waits([](Stage& stage) {
            std::vector<std::string> let_through;
            std::thread([&] {
                for (const Call& call : calls()) {
                    if (!is_refused(call, stage)) {
                        let_through.emplace_back(call.name);
                    }
                }
            }).join();
            CHECK(let_through == std::vector<std::string>());
        });
    });
}

TEST_CASE("waits: nor does a task of another loop", "[waits][misuse]") {
    test::over_backends([]() -> Task<> {
        co_await with_all_waits([](Stage& stage) {
            std::vector<std::string> let_through;
            concurrency::run_async([&]() -> Task<> {
                for (const Call& call : calls()) {
                    if (!is_refused(call, stage)) {
                        let_through.emplace_back(call.name);
                    }
                }
                co_return;
            });
            CHECK(let_through == std::vector<std::string>());
        });
    });
}

TEST_CASE("waits: nor the child of a fork", "[waits][misuse][no-tsan]") {
    concurrency::run([]() -> Task<> {
        co_await with_all_waits([](Stage& stage) {
            const int code = test::run_in_fork([&] {
                int number = 0;
                for (const Call& call : calls()) {
                    ++number;
                    if (!is_refused(call, stage)) {
                        return number;
                    }
                }
                return 0;
            });
            CHECK(code == 0);
        });
    });
}

TEST_CASE(
    "waits: the child of a fork may run a loop of its own", "[waits][misuse][no-tsan]"
) {
    concurrency::run([]() -> Task<> {
        const int code = test::run_in_fork([] {
            return concurrency::run([]() -> Task<int> {
                co_await concurrency::sleep(1e-6);
                co_return 7;
            });
        });
        CHECK(code == 7);
        co_return;
    });
}
