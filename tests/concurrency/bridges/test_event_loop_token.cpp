// SPDX-License-Identifier: BSL-1.0
// EventLoopToken: calls that other threads put into a loop.
#include "concurrency/cancel.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/run.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <atomic>
#include <cstddef>
#include <functional>
#include <future>
#include <memory>
#include <optional>
#include <stdexcept>
#include <thread>
#include <vector>

using concurrency::Backend;
using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::current_token;
using concurrency::EventLoopToken;
using concurrency::RuntimeError;
using concurrency::sleep_forever;
using concurrency::Task;

namespace {

/// Runs until `done` is true; a call from elsewhere sets it.
Task<> until(const bool& done) {
    while (!done) {
        co_await checkpoint();
    }
}

}  // namespace

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_basic: a call from inside the loop comes later",
    "[token]"
) {
    test::over_backends([]() -> Task<> {
        bool called = false;
        current_token().run_sync_soon([&] { called = true; });
        CHECK_FALSE(called);
        CancelScope parked;
        current_token().run_sync_soon([&] { parked.cancel(); });
        co_await parked.run(sleep_forever());
        CHECK(called);
    });
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_FIFO "
    "trio.run::TrioToken_run_sync_soon_massive_queue: calls come in order",
    "[token]"
) {
    test::over_backends([]() -> Task<> {
        std::vector<int> called;
        bool done = false;
        for (int i = 0; i < 1000; ++i) {
            current_token().run_sync_soon([&, i] { called.push_back(i); });
        }
        current_token().run_sync_soon([&] { done = true; });
        co_await until(done);
        std::vector<int> expected(1000);
        for (int i = 0; i < 1000; ++i) {
            expected[static_cast<std::size_t>(i)] = i;
        }
        CHECK(called == expected);
    });
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_too_late: a loop that has ended takes no calls",
    "[token]"
) {
    test::each_backend([](Backend backend) {
        const EventLoopToken token = concurrency::run(
            []() -> Task<EventLoopToken> { co_return current_token(); }, backend
        );
        CHECK_THROWS_AS(token.run_sync_soon([] {}), RuntimeError);
    });
    CHECK_THROWS_AS(current_token(), RuntimeError);
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_idempotent_requeue "
    "trio.run::TrioToken_run_sync_soon_starvation_resistance: a call that repeats "
    "itself starves no task, and ends with the loop",
    "[token]"
) {
    test::over_backends([]() -> Task<> {
        const auto kept = std::make_shared<int>(0);
        std::function<void()> again;
        again = [&again, kept, token = current_token()] {
            ++*kept;
            token.run_sync_soon(std::ref(again));
        };
        again();
        while (*kept < 2) {
            co_await checkpoint();
        }
        for (int i = 0; i < 20; ++i) {
            co_await checkpoint();
        }
        again = [] {
        };
        CHECK(*kept >= 2);
    });
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_after_main_crash: a call that is queued when "
    "the main task ends is destroyed uncalled",
    "[token]"
) {
    test::each_backend([](Backend backend) {
        bool called = false;
        const auto held = std::make_shared<int>(0);
        const std::weak_ptr<int> watched = held;
        const auto main = [&]() -> Task<> {
            current_token().run_sync_soon([&called, mine = held] { called = true; });
            throw std::runtime_error("main");
            co_return;
        };
        CHECK_THROWS_WITH(concurrency::run(main, backend), "main");
        CHECK_FALSE(called);
        CHECK(held.use_count() == 1);
    });
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_crashes: what a call throws ends the main task "
    "and comes out of run",
    "[token]"
) {
    test::each_backend([](Backend backend) {
        for (const bool in_scope : {false, true}) {
            bool later = false;
            bool cancelled = false;
            const auto wait = [&]() -> Task<> {
                current_token().run_sync_soon([] { throw std::runtime_error("call"); });
                current_token().run_sync_soon([&] { later = true; });
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    cancelled = true;
                    throw;
                }
            };
            const auto main = [&]() -> Task<> {
                if (in_scope) {
                    CancelScope outer;
                    co_await outer.run([&]() -> Task<> {
                        CancelScope inner;
                        co_await inner.run(wait);
                    });
                    CHECK_FALSE(outer.cancelled_caught());
                } else {
                    co_await wait();
                }
            };
            CHECK_THROWS_WITH(concurrency::run(main, backend), "call");
            CHECK(later);
            CHECK(cancelled);
        }
    });
}

TEST_CASE(
    "trio.run::TrioToken_run_sync_soon_threaded_stress_test: a thread that calls "
    "without a pause is refused when the loop has ended",
    "[token]"
) {
    test::each_backend([](Backend backend) {
        std::atomic<long> sent{0};
        std::atomic<bool> refused{false};
        long called = 0;
        std::thread thread;
        const auto main = [&]() -> Task<> {
            thread = std::thread([&, token = current_token()] {
                try {
                    for (;;) {
                        token.run_sync_soon([&] { ++called; });
                        ++sent;
                    }
                } catch (const RuntimeError&) {
                    refused = true;
                }
            });
            for (int i = 0; i < 10; ++i) {
                const long before = called;
                while (called == before) {
                    co_await concurrency::sleep(0.0001);
                }
            }
        };
        CHECK_NOTHROW(concurrency::run(main, backend));
        const long at_end = called;
        thread.join();
        CHECK(refused);
        CHECK(called == at_end);
        CHECK(called <= sent);
    });
}

TEST_CASE("token: the loop's own, and its equal", "[token]") {
    std::optional<EventLoopToken> first;
    std::optional<EventLoopToken> second;
    for (auto* token : {&first, &second}) {
        concurrency::run([&]() -> Task<> {
            token->emplace(current_token());
            CHECK(**token == current_token());
            co_return;
        });
    }
    CHECK_FALSE(*first == *second);
}

TEST_CASE(
    "token: calls that wait when the loop is abandoned are destroyed", "[token]"
) {
    boost::asio::io_context context(1);
    bool called = false;
    const auto held = std::make_shared<int>(0);
    const auto main = [&]() -> Task<> {
        current_token().run_sync_soon([&] {
            context.stop();
            current_token().run_sync_soon([&called, mine = held] { called = true; });
        });
        co_await sleep_forever();
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK_FALSE(called);
    CHECK(held.use_count() == 1);
}

TEST_CASE(
    "token: a loop that waits for a thread asks its executor for nothing", "[token]"
) {
    boost::asio::io_context context;
    auto work = boost::asio::make_work_guard(context);
    std::promise<void> waits;
    std::thread runner([&] {
        const auto main = [&]() -> Task<> {
            CancelScope parked;
            std::thread other([&, token = current_token()] {
                waits.get_future().wait();
                token.run_sync_soon([&] { parked.cancel(); });
            });
            co_await parked.run(sleep_forever());
            other.join();
        };
        concurrency::run(main, boost::asio::any_io_executor(context.get_executor()));
        work.reset();
    });
    // The main task's first turn; after it there is nothing more to run.
    std::size_t handlers = context.run_one();
    handlers += context.poll();
    CHECK(context.poll() == 0);
    waits.set_value();
    handlers += context.run();
    CHECK(handlers < 10);
    runner.join();
}

TEST_CASE(
    "token: the child of a fork has no way into the loop of its parent",
    "[token][no-tsan]"
) {
    test::over_backends([]() -> Task<> {
        const EventLoopToken token = current_token();
        const int status = test::run_in_fork([&] {
            try {
                token.run_sync_soon([] {});
                return 1;
            } catch (const RuntimeError&) {
                return 0;
            }
        });
        CHECK(status == 0);
        co_return;
    });
}
