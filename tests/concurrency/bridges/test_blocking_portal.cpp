// SPDX-License-Identifier: BSL-1.0
// BlockingPortal: threads call into a loop, or start one.
#include "futures/wait.hpp"

#include "concurrency/blocking_portal.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/to_thread.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <pthread.h>

#include <array>
#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using concurrency::BlockingPortal;
using concurrency::BlockingPortalProvider;
using concurrency::Cancelled;
using concurrency::checkpoint;
using concurrency::run_sync;
using concurrency::RuntimeError;
using concurrency::sleep_forever;
using concurrency::start_blocking_portal;
using concurrency::Task;
using concurrency::TaskStatus;
using futures::Future;

namespace {

Task<int> sum(int a, int b) {
    co_await checkpoint();
    co_return a + b;
}

Task<std::thread::id> thread_of_loop() {
    co_return std::this_thread::get_id();
}

}  // namespace

TEST_CASE(
    "from_thread::Portal.call_corofunc from_thread::Portal.call_non_corofunc: a thread "
    "calls through a portal",
    "[portal]"
) {
    test::over_backends([]() -> Task<> {
        BlockingPortal portal;
        co_await portal.run([](BlockingPortal& open) -> Task<> {
            const auto calls = [&] {
                CHECK(open.call(sum, 1, 2) == 3);
                CHECK(open.call([](int a) { return sum(a, 1); }, 4) == 5);
                CHECK(open.call([](int a) { return 2 * a; }, 4) == 8);
                CHECK_THROWS_WITH(
                    open.call([] { throw std::runtime_error("no"); }), "no"
                );
            };
            co_await run_sync(calls);
        });
    });
}

TEST_CASE(
    "from_thread::Portal.aexit_with_exception: a block that throws cancels the calls",
    "[portal]"
) {
    test::over_backends([]() -> Task<> {
        std::array<std::thread, 2> threads;
        std::array<bool, 2> cancelled{};
        BlockingPortal portal;
        auto fails = [&] {
            return portal.run([&](BlockingPortal& open) -> Task<> {
                std::array<Future<void>, 2> begun;
                for (std::size_t i = 0; i < 2; ++i) {
                    threads[i] = std::thread([&cancelled, i, open, set = begun[i]] {
                        try {
                            open.call([&]() -> Task<> {
                                set.set_result();
                                co_await sleep_forever();
                            });
                        } catch (const futures::CancelledError&) {
                            cancelled[i] = true;
                        }
                    });
                }
                for (const Future<void>& each : begun) {
                    co_await each;
                }
                throw std::runtime_error("block");
            });
        };
        CHECK_AWAITED(test::thrown_by(fails), == "[block]");
        for (std::thread& thread : threads) {
            thread.join();
        }
        CHECK(cancelled[0]);
        CHECK(cancelled[1]);
    });
}

TEST_CASE(
    "from_thread::Portal.aexit_without_exception: a block that ends waits for the "
    "calls",
    "[portal]"
) {
    test::over_backends([]() -> Task<> {
        Future<int> future;
        BlockingPortal portal;
        co_await portal.run([&](BlockingPortal& open) -> Task<> {
            Future<void> begun;
            future = open.start_task_soon([begun]() -> Task<int> {
                begun.set_result();
                for (int i = 0; i < 5; ++i) {
                    co_await checkpoint();
                }
                co_return 6;
            });
            co_await begun;
        });
        CHECK(future.done());
        CHECK(future.result() == 6);
        CHECK_THROWS_AS(portal.start_task_soon(sum, 1, 2), RuntimeError);
        auto again = [&] {
            return portal.run([](BlockingPortal&) -> Task<> { co_return; });
        };
        CHECK_AWAITED(
            test::thrown_by(again),
            == "a BlockingPortal can be run once, and it has been"
        );
    });
}

TEST_CASE(
    "from_thread::Portal.call_portal_from_event_loop_thread: a call in the loop itself "
    "is refused",
    "[portal]"
) {
    test::over_backends([]() -> Task<> {
        BlockingPortal portal;
        co_await portal.run([](BlockingPortal& open) -> Task<> {
            CHECK_THROWS_AS(open.call(sum, 1, 2), RuntimeError);
            co_return;
        });
    });
}

TEST_CASE(
    "from_thread::Portal.start_with_new_event_loop "
    "from_thread::Portal.start_with_thread_name from_thread::Portal.from_async: a loop "
    "in a thread of its own",
    "[portal]"
) {
    test::each_backend([](concurrency::Backend backend) {
        auto portal = start_blocking_portal({.backend = backend, .name = "the portal"});
        CHECK(portal->call(sum, 1, 2) == 3);
        CHECK(portal->call(thread_of_loop) != std::this_thread::get_id());
    });
    auto portal = start_blocking_portal({.name = "the portal"});
    const auto name = portal->call([] {
        std::array<char, 16> text{};
        pthread_getname_np(pthread_self(), text.data(), text.size());
        return std::string(text.data());
    });
    CHECK(name == "the portal");
    concurrency::run([]() -> Task<> {
        auto inner = start_blocking_portal();
        CHECK(inner->call(sum, 1, 2) == 3);
        co_return;
    });
}

TEST_CASE(
    "from_thread::Portal.call_stopped_portal: a portal that was stopped refuses",
    "[portal]"
) {
    std::optional<BlockingPortal> kept;
    {
        auto portal = start_blocking_portal();
        kept = *portal;
        portal->call([&] { kept->stop(); });
        CHECK_THROWS_AS(portal->call(sum, 1, 2), RuntimeError);
    }
    CHECK_THROWS_AS(kept->call(sum, 1, 2), RuntimeError);
    CHECK_THROWS_AS(kept->stop(), RuntimeError);
    CHECK_THROWS_AS(BlockingPortal().call(sum, 1, 2), RuntimeError);
}

TEST_CASE(
    "from_thread::Portal.start_task_soon from_thread::Portal.start_task_soon_non_"
    "corofunc from_thread::Portal.start_task_soon_with_name: a task that a thread "
    "starts, and drives",
    "[portal]"
) {
    auto portal = start_blocking_portal();
    Future<void> one;
    Future<void> two;
    auto text = portal->start_task_soon([&]() -> Task<std::string> {
        co_await one;
        two.set_result();
        co_return "both";
    });
    one.set_result();
    two.result();
    CHECK(text.result() == "both");
    auto wrapped = portal->start_task_soon([](int a) { return sum(a, 1); }, 1);
    CHECK(wrapped.result() == 2);
    auto named = portal->start_task_soon({.name = "a name"}, []() -> Task<std::string> {
        co_return concurrency::current_task().name();
    });
    CHECK(named.result() == "a name");
}

TEST_CASE(
    "from_thread::Portal.start_task_soon_cancel_later "
    "from_thread::Portal.start_task_soon_cancel_after_stop: cancel() of its future "
    "ends a task, also when the portal is about to end",
    "[portal]"
) {
    for (const bool stops : {false, true}) {
        bool cancelled = false;
        {
            auto portal = start_blocking_portal();
            Future<void> begun;
            auto future = portal->start_task_soon([&]() -> Task<> {
                begun.set_result();
                try {
                    co_await sleep_forever();
                } catch (const Cancelled&) {
                    cancelled = true;
                    throw;
                }
            });
            begun.result();
            if (stops) {
                portal->call([open = *portal] { open.stop(); });
            }
            CHECK(future.cancel());
            CHECK(future.cancelled());
        }
        CHECK(cancelled);
    }
}

TEST_CASE(
    "from_thread::Portal.cancel_portal_future: a portal that is stopped with its tasks "
    "wakes who waits for their futures",
    "[portal]"
) {
    auto portal = start_blocking_portal();
    Future<void> begun;
    auto future = portal->start_task_soon([&]() -> Task<> {
        begun.set_result();
        co_await sleep_forever();
    });
    begun.result();
    std::size_t not_done = 1;
    std::thread waiter([&] { not_done = futures::wait({future}).not_done.size(); });
    portal.stop(true);
    waiter.join();
    CHECK(not_done == 0);
    CHECK(future.cancelled());
}

TEST_CASE(
    "to_thread::BlockingPortalProvider.single_thread "
    "to_thread::BlockingPortalProvider.single_thread_overlapping "
    "to_thread::BlockingPortalProvider.multiple_threads: a provider has one loop for "
    "all who use it at a time",
    "[portal]"
) {
    BlockingPortalProvider provider;
    std::vector<std::shared_ptr<BlockingPortal>> all;
    for (int i = 0; i < 3; ++i) {
        const auto portal = provider.acquire();
        CHECK(portal->call(sum, i, 1) == i + 1);
    }
    {
        const auto outer = provider.acquire();
        const auto thread = outer->call(thread_of_loop);
        {
            const auto inner = provider.acquire();
            CHECK(inner == outer);
        }
        CHECK(outer->call(thread_of_loop) == thread);
    }
    const auto first = provider.acquire();
    std::array<std::thread::id, 4> seen;
    std::vector<std::thread> threads;
    for (auto& id : seen) {
        threads.emplace_back([&] { id = provider.acquire()->call(thread_of_loop); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(std::set<std::thread::id>(seen.begin(), seen.end()).size() == 1);
}

TEST_CASE(
    "from_thread::Portal.start_no_value from_thread::Portal.start_with_value "
    "from_thread::Portal.start_non_corofunc from_thread::Portal.start_with_name: a "
    "task that says when it has started",
    "[portal]"
) {
    auto portal = start_blocking_portal();
    auto [plain, nothing] = portal->start_task([](TaskStatus<>& status) -> Task<> {
        status.started();
        co_return;
    });
    plain.result();
    static_cast<void>(nothing);
    const auto serve = [](std::string text, TaskStatus<std::string>& status) -> Task<> {
        status.started(text);
        co_await checkpoint();
    };
    auto [future, value] = portal->start_task<std::string>(serve, "foo");
    CHECK(value == "foo");
    future.result();
    auto [wrapped, again] =
        portal->start_task<std::string>([&](TaskStatus<std::string>& status) {
            return serve("bar", status);
        });
    CHECK(again == "bar");
    wrapped.result();
    auto [named, name] = portal->start_task<std::string>(
        {.name = "a name"},
        [](TaskStatus<std::string>& status) -> Task<int> {
            status.started(concurrency::current_task().name());
            co_return 4;
        }
    );
    CHECK(name == "a name");
    CHECK(named.result() == 4);
}

TEST_CASE(
    "from_thread::Portal.start_crash_before_started_call "
    "from_thread::Portal.start_crash_after_started_call "
    "from_thread::Portal.start_no_started_call: a task that fails to start, or later",
    "[portal]"
) {
    auto portal = start_blocking_portal();
    const auto early = [](TaskStatus<int>&) -> Task<> {
        throw std::runtime_error("early");
        co_return;
    };
    CHECK_THROWS_WITH(portal->start_task<int>(early), "early");
    const auto silent = [](TaskStatus<int>&) -> Task<> {
        co_return;
    };
    CHECK_THROWS_AS(portal->start_task<int>(silent), RuntimeError);
    auto [future, value] = portal->start_task<int>([](TaskStatus<int>& s) -> Task<> {
        s.started(2);
        co_await checkpoint();
        throw std::runtime_error("late");
    });
    CHECK(value == 2);
    CHECK_THROWS_WITH(future.result(), "late");
    CHECK(portal->call(sum, 1, 2) == 3);
}

TEST_CASE("portal: one in a thread of its own is called like any other", "[portal]") {
    auto portal = start_blocking_portal();
    CHECK(portal.call(sum, 1, 2) == 3);
    CHECK(portal.call([] { return 4; }) == 4);
    CHECK(portal.start_task_soon(sum, 2, 3).result() == 5);
    CHECK(portal.start_task_soon({.name = "adds"}, sum, 2, 3).result() == 5);
    auto [future, value] =
        portal.start_task<int>([](TaskStatus<int>& status) -> Task<int> {
            status.started(7);
            co_return 8;
        });
    CHECK(value == 7);
    CHECK(future.result() == 8);
}
