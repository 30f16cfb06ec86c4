// SPDX-License-Identifier: BSL-1.0
// run over executors of the program's own.
#include "concurrency/run.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <chrono>
#include <stdexcept>

namespace asio = boost::asio;
using concurrency::Task;
using namespace std::chrono_literals;

namespace {

Task<int> some_work() {
    for (int i = 0; i < 200; ++i) {
        co_await concurrency::checkpoint();
    }
    co_await concurrency::sleep(0.001);
    co_return 5;
}

}  // namespace

TEST_CASE(
    "taskgroups::run_natively eventloop::AsyncioOptions.loop_factory: runs on an "
    "io_context or a strand of the program",
    "[run]"
) {
    asio::io_context context;
    CHECK(concurrency::run(some_work, context) == 5);
    CHECK(concurrency::run(some_work, context) == 5);
    asio::thread_pool pool(2);
    CHECK(concurrency::run(some_work, asio::make_strand(pool)) == 5);
    pool.join();
    CHECK(concurrency::run(some_work, asio::make_strand(asio::system_executor())) == 5);
}

TEST_CASE(
    "run: other handlers of the io_context run beside the tasks, and after them",
    "[run]"
) {
    asio::io_context context;
    int handled = 0;
    asio::steady_timer later(context, std::chrono::hours(1));
    later.async_wait([&](const boost::system::error_code&) { handled += 100; });
    const auto body = [&]() -> Task<> {
        asio::post(context, [&] { ++handled; });
        while (handled == 0) {
            co_await concurrency::sleep(1ms);
        }
    };
    concurrency::run(body, context);
    CHECK(handled == 1);
    later.cancel();
    context.run();
    CHECK(handled == 101);
}

TEST_CASE(
    "run: an io_context that is stopped takes the tasks with it, where they wait",
    "[run]"
) {
    asio::io_context context;
    bool destroyed = false;
    bool ended = false;

    struct Flag {
        bool& flag;

        ~Flag() { flag = true; }
    };

    const auto inner = [&]() -> Task<> {
        const Flag here{destroyed};
        co_await concurrency::sleep_forever();
    };
    const auto body = [&]() -> Task<> {
        asio::post(context, [&] { context.stop(); });
        co_await inner();
        ended = true;
    };
    CHECK_THROWS_AS(concurrency::run(body, context), concurrency::RuntimeError);
    CHECK(destroyed);
    CHECK_FALSE(ended);
}

TEST_CASE("run: what another handler throws comes out of it", "[run]") {
    asio::io_context context;
    const auto body = [&]() -> Task<> {
        asio::post(context, [] { throw std::logic_error("a handler's"); });
        co_await concurrency::sleep_forever();
    };
    CHECK_THROWS_AS(concurrency::run(body, context), std::logic_error);
    CHECK(concurrency::run(some_work) == 5);
}
