// SPDX-License-Identifier: BSL-1.0
// A loop that is stopped while a thread waits for what it has started there, and a task
// waits for that thread: both are let go.
#include "futures/errors.hpp"
#include "futures/thread_pool.hpp"

#include "concurrency/asio.hpp"
#include "concurrency/blocking_portal.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/event.hpp"
#include "concurrency/event_loop_token.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/run.hpp"
#include "concurrency/submit.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/to_thread.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>

#include <functional>
#include <utility>

using concurrency::BlockingPortal;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;

namespace {

Task<> stop_and_wait(boost::asio::io_context& context) {
    context.stop();
    co_await concurrency::sleep_forever();
}

Task<> start_stop_and_wait(boost::asio::io_context& context, TaskStatus<>& status) {
    status.started();
    co_await concurrency::checkpoint();
    Task<> waiting = stop_and_wait(context);
    co_await std::move(waiting);
}

// Whether the call was cancelled.
template <class Call>
bool is_let_go(Call call) {
    try {
        call();
    } catch (const futures::CancelledError&) {
        return true;
    }
    return false;
}

// Awaits use(portal) in a thread, in the body of the portal, in a loop that this stops.
template <class Use>
void stop_inside_portal(boost::asio::io_context& context, Use use) {
    futures::ThreadPoolExecutor pool({.max_workers = 1});
    bool is_cancelled = false;
    const auto use_in_thread = [&](const BlockingPortal& portal) {
        is_cancelled = is_let_go([&] { use(portal); });
    };
    const auto main = [&]() -> Task<> {
        BlockingPortal portal;
        co_await portal.run([&](BlockingPortal& open) -> Task<> {
            co_await concurrency::run_in(pool, use_in_thread, std::cref(open));
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(is_cancelled);
}

}  // namespace

TEST_CASE("BlockingPortal: a loop that is stopped lets go of a call", "[portal]") {
    boost::asio::io_context context;
    stop_inside_portal(context, [&](const BlockingPortal& portal) {
        portal.call(stop_and_wait, std::ref(context));
    });
}

TEST_CASE(
    "BlockingPortal: a loop that is stopped lets go of a task that was started",
    "[portal]"
) {
    boost::asio::io_context context;
    stop_inside_portal(context, [&](const BlockingPortal& portal) {
        auto started = portal.start_task(start_stop_and_wait, std::ref(context));
        started.first.result();
    });
}

TEST_CASE(
    "submit: a loop that is stopped lets go of a coroutine in a group whose body waits "
    "for the thread",
    "[submit]"
) {
    boost::asio::io_context context;
    futures::ThreadPoolExecutor pool({.max_workers = 1});
    bool is_cancelled = false;
    const auto main = [&]() -> Task<> {
        const concurrency::EventLoopToken loop = concurrency::current_token();
        co_await concurrency::create_task_group([&](TaskGroup& group) -> Task<> {
            const auto submit_there = [&] {
                is_cancelled = is_let_go([&] {
                    concurrency::submit(loop, group, stop_and_wait, std::ref(context))
                        .result();
                });
            };
            co_await concurrency::run_in(pool, submit_there);
        });
    };
    CHECK_THROWS_AS(concurrency::run(main, context), RuntimeError);
    CHECK(is_cancelled);
}

TEST_CASE(
    "submit: a loop is stopped while a thread of one coroutine waits for the one "
    "before",
    "[portal]"
) {
    boost::asio::io_context context;
    bool is_cancelled = false;
    futures::Future<void> begun;
    CHECK_THROWS_AS(
        concurrency::run(
            [&]() -> Task<> {
                const auto token = concurrency::current_token();
                auto first = concurrency::submit(token, concurrency::sleep_forever);
                auto second = concurrency::submit(token, [&, first]() -> Task<> {
                    co_await concurrency::run_sync([&] {
                        begun.set_result();
                        is_cancelled = is_let_go([&] { first.result(); });
                    });
                });
                co_await begun;
                co_await stop_and_wait(context);
            },
            context
        ),
        RuntimeError
    );
    CHECK(is_cancelled);
}

TEST_CASE(
    "portal: a call that waits is refused in a handler of the loop's own", "[portal]"
) {
    test::over_backends([]() -> Task<> {
        bool is_refused = false;
        concurrency::Event called;
        BlockingPortal portal;
        co_await portal.run([&](BlockingPortal& open) -> Task<> {
            boost::asio::post(concurrency::get_executor(), [&, open] {
                try {
                    open.call([] {});
                } catch (const RuntimeError&) {
                    is_refused = true;
                }
                called.set();
            });
            co_await called.wait();
        });
        CHECK(is_refused);
    });
}

TEST_CASE("portal: one call that ends as if cancelled harms no other", "[portal]") {
    auto portal = concurrency::start_blocking_portal();
    auto odd = portal.start_task_soon([]() -> Task<> {
        throw concurrency::Cancelled();
        co_return;
    });
    CHECK_THROWS_AS(odd.result(), futures::CancelledError);
    CHECK(portal.call([] { return 4; }) == 4);
    portal.stop();
    portal.stop();
}
