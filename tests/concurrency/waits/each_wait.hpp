// SPDX-License-Identifier: BSL-1.0
// Waits: every call in which a task can wait is a line of a table, and what holds of
// all of them is checked here, line by line.
#pragma once

#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/thread_pool.hpp>

#include <unistd.h>

#include <exception>
#include <future>
#include <memory>
#include <string>
#include <vector>

namespace test {

/// What becomes of a wait that is cancelled.
enum class Cancelled {
    ends,
    goes_on,    // until the stage is open
    ends_soon,  // when something outside the loop has ended
};

/// Stage is made in the loop, before anything waits; it has:
///     void prepare();           // what has to be taken, or is full
///     void open();              // calls that block in threads go on
///     void wait_for_thread();   // until there is one
///     std::string traces();     // who still waits in it; empty for nobody
template <class Stage>
struct Wait {
    /// What get_running_tasks() says; null where that is another's to say.
    const char* what;
    /// Waits until something happens that never does.
    concurrency::Task<> (*begin)(Stage& stage);
    Cancelled cancelled = Cancelled::ends;
    /// Another loop is refused while it waits.
    bool is_its_loops = false;
};

/// How it says so in the output of a test.
template <class Stage>
std::string name_of(const Wait<Stage>& wait, std::size_t line) {
    return (wait.what != nullptr ? wait.what : "?") +
           (" in line " + std::to_string(line));
}

/// Calls `check` with each line.
template <class Stage, class Check>
void each_wait(const std::vector<Wait<Stage>>& waits, Check check) {
    std::size_t line = 0;
    for (const Wait<Stage>& wait : waits) {
        INFO(name_of(wait, ++line));
        check(wait);
    }
}

/// Where the task of this name waits.
inline std::string place_of(const std::string& name) {
    for (const concurrency::RunningTask& task : concurrency::get_running_tasks()) {
        if (task.name() == name) {
            return task.where();
        }
    }
    return "nowhere";
}

/// Runs `body(group, stage)` when a task named "waiter" waits there.
template <class Stage, class Body>
concurrency::Task<> with_waiter(const Wait<Stage>& wait, Body body) {
    Stage stage;
    stage.prepare();
    std::exception_ptr error;
    bool has_ended = false;
    co_await concurrency::create_task_group(
        [&](concurrency::TaskGroup& group) -> concurrency::Task<> {
            group.start_soon({.name = "waiter"}, [&]() -> concurrency::Task<> {
                try {
                    co_await wait.begin(stage);
                } catch (...) {
                    error = std::current_exception();
                }
                has_ended = true;
                if (error) {
                    std::rethrow_exception(error);
                }
            });
            co_await concurrency::testing::wait_all_tasks_blocked();
            CHECK_FALSE(has_ended);
            co_await body(group, stage);
            group.cancel();
            stage.open();
        }
    );
    CHECK(has_ended);
    CHECK(stage.traces().empty());
}

/// A tree of tasks shows in which call each one waits.
template <class Stage>
void check_names(const std::vector<Wait<Stage>>& waits) {
    each_wait(waits, [](const Wait<Stage>& wait) {
        over_backends([&]() -> concurrency::Task<> {
            const auto look = [&](concurrency::TaskGroup&,
                                  Stage&) -> concurrency::Task<> {
                if (wait.what != nullptr) {
                    CHECK(place_of("waiter") == wait.what);
                }
                co_return;
            };
            co_await with_waiter(wait, look);
        });
    });
}

/// Cancelled, a wait ends, or goes on until what it waits for has ended, and nothing is
/// left of it.
template <class Stage>
void check_cancelled(const std::vector<Wait<Stage>>& waits) {
    each_wait(waits, [](const Wait<Stage>& wait) {
        over_backends([&]() -> concurrency::Task<> {
            const auto cancel = [&](concurrency::TaskGroup& group,
                                    Stage& stage) -> concurrency::Task<> {
                if (wait.cancelled == Cancelled::goes_on) {
                    stage.wait_for_thread(
                    );  // or its call is cancelled before it begins
                }
                group.cancel();
                auto look = [&]() -> concurrency::Task<> {
                    co_await concurrency::testing::wait_all_tasks_blocked();
                    if (wait.cancelled != Cancelled::ends_soon) {
                        const bool has_ended = place_of("waiter") == "nowhere";
                        CHECK(has_ended == (wait.cancelled == Cancelled::ends));
                    }
                    stage.open();
                };
                co_await concurrency::shield(look);
            };
            co_await with_waiter(wait, cancel);
        });
    });
}

/// A loop that is stopped with its io_context.
class StoppedContext {
public:
    template <class Main>
    void run(Main& main) {
        concurrency::run(main, context_);
    }

    void stop() { context_.stop(); }

private:
    boost::asio::io_context context_;
};

/// One whose executor is destroyed by another thread.
class DestroyedPool {
public:
    template <class Main>
    void run(Main& main) {
        const std::future<void> ending = std::async(std::launch::async, [this] {
            stopped_.get_future().wait();
            pool_->stop();
            pool_.reset();
        });
        concurrency::run(main, boost::asio::any_io_executor(pool_->get_executor()));
    }

    void stop() { stopped_.set_value(); }

private:
    std::promise<void> stopped_;
    // Of one thread, so no strand, which must be gone before its pool.
    std::unique_ptr<boost::asio::thread_pool> pool_ =
        std::make_unique<boost::asio::thread_pool>(1);
};

/// Tasks that wait so, all at once, are destroyed where they wait.
template <class Stopped, class Stage>
void check_abandoned_at_once(const std::vector<Wait<Stage>>& waits) {
    struct Count {
        explicit Count(int& of) : alive(of) { ++alive; }

        Count(const Count&) = delete;
        Count& operator=(const Count&) = delete;

        ~Count() { --alive; }

        int& alive;
    };

    struct Look {
        Stage& stage;
        std::string& traces;

        ~Look() { traces = stage.traces(); }
    };

    int alive = 0;
    int most = 0;
    std::string traces = "none were looked for";
    Stopped loop;
    const auto main = [&]() -> concurrency::Task<> {
        Stage stage;
        stage.prepare();
        const Look look{stage, traces};  // when all tasks are gone
        co_await concurrency::create_task_group(
            [&](concurrency::TaskGroup& group) -> concurrency::Task<> {
                for (const Wait<Stage>& wait : waits) {
                    group.start_soon([&]() -> concurrency::Task<> {
                        const Count count(alive);
                        co_await wait.begin(stage);
                    });
                }
                co_await concurrency::testing::wait_all_tasks_blocked();
                most = alive;
                stage.open();
                loop.stop();
                co_await concurrency::sleep_forever();
            }
        );
    };
    CHECK_THROWS_AS(loop.run(main), concurrency::RuntimeError);
    CHECK(most == static_cast<int>(waits.size()));
    CHECK(alive == 0);
    CHECK(traces.empty());
}

/// A loop that is stopped destroys the coroutine where it waits.
template <class Stage>
void check_abandoned(const std::vector<Wait<Stage>>& waits) {
    const auto check = [](const std::vector<Wait<Stage>>& some) {
        INFO(name_of(some.front(), some.size()));
        check_abandoned_at_once<StoppedContext>(some);
        check_abandoned_at_once<DestroyedPool>(some);
    };
    check(waits);
    for (const Wait<Stage>& wait : waits) {
        check({wait});
    }
}

/// The child of a fork cannot wait in the loop of its parent.
template <class Stage>
void check_after_fork(const std::vector<Wait<Stage>>& waits) {
    each_wait(waits, [](const Wait<Stage>& wait) {
        concurrency::run([&]() -> concurrency::Task<> {
            Stage stage;
            stage.prepare();
            const pid_t child = ::fork();
            if (child == 0) {
                int code = 1;
                try {
                    co_await wait.begin(stage);
                } catch (const concurrency::RuntimeError&) {
                    code = 7;
                } catch (...) {
                    code = 2;
                }
                ::_exit(code);
            }
            stage.open();
            CHECK(exit_status(child) == 7);
            CHECK(stage.traces().empty());
        });
    });
}

/// While a task waits in one loop, another loop is refused.
template <class Stage>
void check_other_loop(const std::vector<Wait<Stage>>& waits) {
    each_wait(waits, [](const Wait<Stage>& wait) {
        if (!wait.is_its_loops) {
            return;
        }
        over_backends([&]() -> concurrency::Task<> {
            const auto refuse = [&](concurrency::TaskGroup&,
                                    Stage& stage) -> concurrency::Task<> {
                const auto other = [&]() -> concurrency::Task<std::string> {
                    const auto again = [&] {
                        return wait.begin(stage);
                    };
                    co_return co_await thrown_by(again);
                };
                const std::string refusal = concurrency::run_async(other);
                CHECK_THAT(refusal, test::ContainsSubstring("loop"));
                if (wait.what != nullptr) {
                    CHECK(place_of("waiter") == wait.what);
                }
                co_return;
            };
            co_await with_waiter(wait, refuse);
        });
    });
}

}  // namespace test
