// SPDX-License-Identifier: BSL-1.0
// How run() ends when something beside the tasks fails: a handler that throws, an
// executor that is destroyed.
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/thread_pool.hpp>

#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>

namespace asio = boost::asio;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::shield;
using concurrency::sleep_forever;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::testing::wait_all_tasks_blocked;

namespace {

class Interrupt {};  // derived from nothing, as Python's KeyboardInterrupt is no Error

struct Ended {
    bool& ended;

    ~Ended() { ended = true; }
};

// An io_context that a thread of its own runs.
class Elsewhere {
public:
    Elsewhere() : thread_([this] { context.run(); }) {}

    Elsewhere(const Elsewhere&) = delete;
    Elsewhere& operator=(const Elsewhere&) = delete;

    ~Elsewhere() { join(); }

    void join() {
        work_.reset();
        if (thread_.joinable()) {
            thread_.join();
        }
    }

    asio::io_context context;

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_ =
        asio::make_work_guard(context);
    std::thread thread_;
};

}  // namespace

TEST_CASE(
    "taskgroups::unhandled_exception_group: what a handler throws cancels the tasks, "
    "and comes out of run",
    "[run_ends]"
) {
    asio::io_context context;
    bool cleaned = false;
    bool after = false;
    int cancelled = 0;
    std::string reason;
    const auto wait = [&]() -> Task<> {
        try {
            co_await sleep_forever();
        } catch (const Cancelled& e) {
            ++cancelled;
            reason = e.reason();
            throw;
        }
    };
    const auto body = [&]() -> Task<> {
        co_await create_task_group([&](TaskGroup& outer) -> Task<> {
            outer.start_soon(wait);
            outer.start_soon([&]() -> Task<> {
                co_await shield([&]() -> Task<> {
                    co_await wait_all_tasks_blocked();
                    cleaned = true;
                });
            });
            co_await create_task_group([&](TaskGroup& inner) -> Task<> {
                inner.start_soon(wait);
                asio::post(context, [] { throw Interrupt(); });
                asio::post(context, [] { throw std::logic_error("the second"); });
                co_await wait();
            });
        });
        after = true;
    };
    CHECK_THROWS_AS(concurrency::run(body, context), Interrupt);
    CHECK(cancelled == 3);
    CHECK(cleaned);
    CHECK_FALSE(after);
    CHECK(reason == "a handler threw");
    // The io_context can be run again.
    CHECK_NOTHROW(concurrency::run(checkpoint, context));
}

TEST_CASE(
    "run: what a handler throws comes out also when the main task ends all the same",
    "[run_ends]"
) {
    asio::io_context context;
    const auto ends = [&]() -> Task<int> {
        asio::post(context, [] { throw Interrupt(); });
        try {
            co_await sleep_forever();
        } catch (const Cancelled&) {
            co_return 5;
        }
        co_return 6;
    };
    CHECK_THROWS_AS(concurrency::run(ends, context), Interrupt);
    const auto fails = [&]() -> Task<> {
        asio::post(context, [] { throw Interrupt(); });
        try {
            co_await sleep_forever();
        } catch (const Cancelled&) {
            throw std::runtime_error("instead");
        }
    };
    CHECK_THROWS_AS(concurrency::run(fails, context), Interrupt);
}

TEST_CASE(
    "run: an executor that nobody else has work for goes on until the task ends",
    "[run_ends]"
) {
    asio::io_context context;
    CancelScope scope;
    bool waits = false;
    const auto body = [&]() -> Task<int> {
        co_await scope.run([&]() -> Task<> {
            waits = true;
            co_await sleep_forever();
        });
        co_return 3;
    };
    auto work = std::make_optional(asio::make_work_guard(context));
    auto result = std::async(std::launch::async, [&] {
        return concurrency::run(body, asio::any_io_executor(context.get_executor()));
    });
    while (!waits) {
        context.poll();
    }
    work.reset();
    context.poll();
    CHECK_FALSE(context.stopped());
    asio::post(context, [&] { scope.cancel(); });
    context.run();
    CHECK(result.get() == 3);
}

TEST_CASE(
    "run: while an io_context of another thread is stopped the tasks stand still",
    "[run_ends]"
) {
    for (const bool with_strand : {false, true}) {
        asio::io_context context;
        CancelScope scope;
        bool waits = false;
        const auto body = [&]() -> Task<int> {
            co_await scope.run([&]() -> Task<> {
                asio::post(context, [&context] { context.stop(); });
                waits = true;
                co_await sleep_forever();
            });
            co_return 3;
        };
        const asio::any_io_executor executor =
            with_strand
                ? asio::any_io_executor(asio::make_strand(context.get_executor()))
                : asio::any_io_executor(context.get_executor());
        auto result = std::async(std::launch::async, [&] {
            return concurrency::run(body, executor);
        });
        while (!waits) {
            context.restart();
            context.run();
        }
        CHECK(context.stopped());
        asio::post(executor, [&] { scope.cancel(); });
        CHECK_FALSE(scope.cancel_called());
        context.restart();
        context.run();
        CHECK(result.get() == 3);
    }
}

TEST_CASE(
    "run: an io_context that is stopped and destroyed is an error, and the tasks are "
    "destroyed first",
    "[run_ends]"
) {
    bool destroyed = false;
    std::promise<void> waits;
    std::future<void> run;
    const auto body = [&]() -> Task<> {
        const Ended here{destroyed};
        waits.set_value();
        co_await sleep_forever();
    };
    {
        Elsewhere elsewhere;
        // No strand, which must be gone before its io_context.
        run = std::async(std::launch::async, [&] {
            concurrency::run(
                body, asio::any_io_executor(elsewhere.context.get_executor())
            );
        });
        waits.get_future().wait();
        elsewhere.context.stop();
    }
    CHECK(destroyed);
    CHECK_THROWS_AS(run.get(), concurrency::RuntimeError);
}

TEST_CASE(
    "run: in a handler of the very executor it is refused, as it would wait for itself",
    "[run_ends]"
) {
    asio::thread_pool pool(2);
    const auto strand = asio::make_strand(pool.get_executor());
    std::promise<std::string> refusal;
    asio::post(strand, [&] {
        try {
            concurrency::run(checkpoint, asio::any_io_executor(strand));
            refusal.set_value("nothing");
        } catch (const concurrency::RuntimeError& e) {
            refusal.set_value(e.what());
        }
    });
    CHECK(
        refusal.get_future().get() == "run() in a handler of the executor that is to "
                                      "run the tasks would wait for itself"
    );
    pool.join();
}

TEST_CASE(
    "run: an executor that is destroyed is an error, and the tasks are destroyed first",
    "[run_ends]"
) {
    for (int i = 0; i < 20; ++i) {
        bool destroyed = false;
        std::promise<void> waits;
        auto pool = std::make_unique<asio::thread_pool>(1);
        const auto body = [&]() -> Task<> {
            const Ended here{destroyed};
            co_await create_task_group([&](TaskGroup& group) -> Task<> {
                if (i % 2 == 0) {  // else nothing is left in the executor
                    group.start_soon([]() -> Task<> {
                        co_await concurrency::sleep(60);
                    });
                }
                group.start_soon([&]() -> Task<> {
                    co_await wait_all_tasks_blocked();
                    waits.set_value();
                });
                co_await sleep_forever();
            });
        };
        // Of one thread, so no strand, which must be gone before its pool.
        auto run = std::async(std::launch::async, [&] {
            concurrency::run(body, asio::any_io_executor(pool->get_executor()));
        });
        waits.get_future().wait();
        pool->stop();
        pool.reset();
        CHECK(destroyed);
        CHECK_THROWS_AS(run.get(), concurrency::RuntimeError);
    }
}
