// SPDX-License-Identifier: BSL-1.0
// submit: coroutines that other threads give to a loop.
#include "futures/wait.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/run.hpp"
#include "concurrency/submit.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/post.hpp>

#include <atomic>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using concurrency::Cancelled;
using concurrency::checkpoint;
using concurrency::create_task_group;
using concurrency::current_token;
using concurrency::EventLoopToken;
using concurrency::RuntimeError;
using concurrency::sleep_forever;
using concurrency::submit;
using concurrency::Task;
using concurrency::TaskGroup;
using futures::Future;

namespace {

Task<int> sum(int a, int b) {
    co_await checkpoint();
    co_return a + b;
}

Task<> fail() {
    co_await checkpoint();
    throw std::runtime_error("failed");
}

/// Calls `use(token)` in a thread, while the loop goes on.
template <class Use>
Task<> in_thread(Use& use) {
    Future<void> done;
    std::thread thread([&use, done, token = current_token()] {
        try {
            use(token);
            done.set_result();
        } catch (...) {
            done.set_exception(std::current_exception());
        }
    });
    std::exception_ptr error;
    try {
        co_await done;
    } catch (...) {
        error = std::current_exception();
    }
    thread.join();
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace

TEST_CASE(
    "from_thread::RunAsync.run_async_from_unclaimed_thread "
    "from_thread::RunAsync.run_async_from_thread_exception: a thread submits a "
    "coroutine, and has its result or its error",
    "[submit]"
) {
    test::over_backends([]() -> Task<> {
        auto use = [](const EventLoopToken& token) {
            CHECK(submit(token, sum, 3, 4).result() == 7);
            CHECK(submit(token, sum(5, 6)).result() == 11);
            CHECK_THROWS_WITH(submit(token, fail).result(), "failed");
            auto unique = submit(token, []() -> Task<std::unique_ptr<int>> {
                co_return std::make_unique<int>(5);
            });
            CHECK(*std::move(unique).result() == 5);
            submit(token, []() -> Task<> { co_return; }).result();
            const std::string name =
                submit(token, {.name = "named"}, []() -> Task<std::string> {
                    co_return concurrency::current_task().name();
                }).result();
            CHECK(name == "named");
        };
        co_await in_thread(use);
    });
}

TEST_CASE("submit: many threads at once", "[submit]") {
    test::over_backends([]() -> Task<> {
        std::atomic<int> total{0};
        std::vector<std::thread> threads;
        Future<void> done;
        std::atomic<int> left{4};
        for (int i = 0; i < 4; ++i) {
            threads.emplace_back([&, token = current_token()] {
                std::vector<Future<int>> futures;
                for (int j = 0; j < 100; ++j) {
                    futures.push_back(submit(token, sum, j, 1));
                }
                for (const auto& future : futures) {
                    total += future.result();
                }
                if (--left == 0) {
                    done.set_result();
                }
            });
        }
        co_await done;
        for (std::thread& thread : threads) {
            thread.join();
        }
        CHECK(total == 4 * 5050);
    });
}

TEST_CASE(
    "from_thread::Portal.start_task_soon_cancel_immediately: cancelled at once, a "
    "coroutine begins and sees it at its first checkpoint",
    "[submit]"
) {
    test::over_backends([]() -> Task<> {
        auto use = [](const EventLoopToken& token) {
            for (int i = 0; i < 100; ++i) {
                Future<void> seen;
                bool begun = false;
                auto future = submit(token, [&]() -> Task<> {
                    begun = true;
                    try {
                        co_await sleep_forever();
                    } catch (const Cancelled&) {
                        seen.set_result();
                        throw;
                    }
                });
                CHECK(future.cancel());
                seen.result();
                CHECK(begun);
                CHECK(future.cancelled());
                CHECK_THROWS_AS(future.result(), futures::CancelledError);
            }
        };
        co_await in_thread(use);
    });
}

TEST_CASE("submit: cancel() of the future while the coroutine waits", "[submit]") {
    test::over_backends([]() -> Task<> {
        auto use = [](const EventLoopToken& token) {
            Future<void> begun;
            Future<void> ended;
            auto future = submit(token, [&]() -> Task<> {
                begun.set_result();
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    ended.set_result();
                    throw;
                }
            });
            begun.result();
            CHECK(future.cancel());
            ended.result();
            // One that ends all the same.
            Future<void> again;
            auto deaf = submit(token, [&]() -> Task<int> {
                again.set_result();
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    // and then:
                }
                co_return 3;
            });
            again.result();
            CHECK(deaf.cancel());
            CHECK(deaf.cancelled());
        };
        co_await in_thread(use);
    });
}

TEST_CASE("submit: into a group, which waits and cancels", "[submit]") {
    test::over_backends([]() -> Task<> {
        std::optional<TaskGroup> kept;
        int value = 0;
        Future<void> waiting;
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            kept = group;
            auto use = [&](const EventLoopToken& token) {
                value = submit(token, group, sum, 1, 2).result();
                CHECK_THROWS_WITH(submit(token, group, fail()).result(), "failed");
                waiting =
                    submit(token, group, []() -> Task<> { co_await sleep_forever(); });
            };
            co_await in_thread(use);
            CHECK_FALSE(group.cancel_scope().cancel_called());
            group.cancel();
        });
        CHECK(value == 3);
        CHECK(waiting.cancelled());
        auto use = [&](const EventLoopToken& token) {
            CHECK_THROWS_AS(submit(token, *kept, sum, 1, 2).result(), RuntimeError);
        };
        co_await in_thread(use);
    });
}

TEST_CASE(
    "trio.threads::await_in_trio_thread_while_main_exits: what is still there when the "
    "main task ends is cancelled",
    "[submit]"
) {
    test::each_backend([](concurrency::Backend backend) {
        Future<int> future;
        bool cleaned_up = false;
        const auto main = [&]() -> Task<> {
            auto use = [&](const EventLoopToken& token) {
                Future<void> begun;
                future = submit(token, [&, begun]() -> Task<int> {
                    begun.set_result();
                    try {
                        co_await sleep_forever();
                    } catch (const Cancelled&) {
                        cleaned_up = true;
                        throw;
                    }
                    co_return 1;
                });
                begun.result();
            };
            co_await in_thread(use);
        };
        CHECK_NOTHROW(concurrency::run(main, backend));
        CHECK(cleaned_up);
        CHECK(future.cancelled());
        CHECK(futures::wait({future}).not_done.empty());
    });
}

TEST_CASE(
    "from_thread::RunAsync.run_async_closed_event_loop "
    "trio.threads::from_thread_run_during_shutdown: a loop that has ended, or is about "
    "to, refuses",
    "[submit]"
) {
    test::each_backend([](concurrency::Backend backend) {
        std::optional<EventLoopToken> token;
        Future<int> queued;
        bool refused = false;
        const auto main = [&]() -> Task<> {
            token = current_token();
            submit(*token, [&]() -> Task<> {
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    try {
                        submit(current_token(), sum, 1, 2);
                    } catch (const RuntimeError&) {
                        refused = true;
                    }
                    throw;
                }
            });
            co_await checkpoint();
            bool soon = false;
            token->run_sync_soon([&] { soon = true; });
            while (!soon) {
                co_await checkpoint();
            }
            queued = submit(*token, sum, 1, 2);  // the loop ends before it comes
        };
        CHECK_NOTHROW(concurrency::run(main, backend));
        CHECK(refused);
        CHECK_THROWS_AS(queued.result(), RuntimeError);
        CHECK_THROWS_AS(submit(*token, sum, 1, 2), RuntimeError);
    });
}

TEST_CASE("submit: a loop that is abandoned cancels the futures", "[submit]") {
    boost::asio::io_context context(1);
    Future<void> waiting;
    Future<int> queued;
    const auto main = [&]() -> Task<> {
        waiting = submit(current_token(), []() -> Task<> { co_await sleep_forever(); });
        bool soon = false;
        current_token().run_sync_soon([&] { soon = true; });
        while (!soon) {
            co_await checkpoint();
        }
        boost::asio::post(context, [&, token = current_token()] {
            queued = submit(token, sum, 1, 2);
            context.stop();
        });
        co_await sleep_forever();
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(waiting.cancelled());
    CHECK_THROWS_AS(queued.result(), RuntimeError);
}

TEST_CASE(
    "from_thread::Portal.asyncio_run_sync_called "
    "from_thread::Portal.raise_baseexception_from_task: a Cancelled of its own, and "
    "something that is no std::exception",
    "[submit]"
) {
    test::over_backends([]() -> Task<> {
        auto use = [](const EventLoopToken& token) {
            auto cancels = submit(token, []() -> Task<> {
                throw Cancelled();
                co_return;
            });
            CHECK_THROWS_AS(cancels.result(), futures::CancelledError);
            auto throws = submit(token, []() -> Task<> {
                throw 5;
                co_return;
            });
            CHECK_THROWS_AS(throws.result(), int);
        };
        co_await in_thread(use);
    });
}

TEST_CASE("submit: arguments and results are destroyed in time", "[submit]") {
    test::over_backends([]() -> Task<> {
        const auto held = std::make_shared<int>(1);
        auto use = [&](const EventLoopToken& token) {
            auto future = submit(
                token,
                [mine = held](const std::shared_ptr<int>& p) -> Task<int> {
                    co_await checkpoint();
                    co_return *p + *mine;
                },
                held
            );
            CHECK(future.result() == 2);
            CHECK(held.use_count() == 1);
        };
        co_await in_thread(use);
    });
}
