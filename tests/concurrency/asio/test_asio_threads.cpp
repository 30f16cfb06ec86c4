// SPDX-License-Identifier: BSL-1.0
// use_task and asio_op beside other threads, and beyond the end of the loop: a handler
// comes in the loop's executor, or not at all.
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "held_handler.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <memory>
#include <optional>
#include <thread>
#include <utility>

namespace asio = boost::asio;
using boost::system::error_code;
using concurrency::checkpoint;
using concurrency::RuntimeError;
using concurrency::Task;
using concurrency::use_task;
using test::checked_op;
using namespace std::chrono_literals;

namespace {

/// A thread that runs an io_context.
class OtherContext {
public:
    OtherContext() : thread_([this] { context.run(); }) {}

    ~OtherContext() {
        work_.reset();
        thread_.join();
    }

    asio::io_context context{1};

private:
    asio::executor_work_guard<asio::io_context::executor_type> work_{
        context.get_executor()};
    std::thread thread_;
};

}  // namespace

TEST_CASE(
    "asio_op: a thread that still holds the handler's executor outlives the loop",
    "[asio]"
) {
    OtherContext other;
    for (int i = 0; i < 30; ++i) {
        test::over_backends([&]() -> Task<> {
            co_await asio::post(other.context, use_task);
        });
    }
}

TEST_CASE("asio_op: a handler may be called in another thread", "[asio]") {
    test::over_backends([]() -> Task<> {
        std::optional<std::thread> thread;
        const auto value =
            co_await checked_op<void(error_code, std::unique_ptr<int>)>([&](auto handler
                                                                        ) {
                thread.emplace([handler = std::move(handler)]() mutable {
                    std::move(handler)(error_code(), std::make_unique<int>(7));
                });
            });
        thread->join();
        CHECK(*value == 7);
    });
}

TEST_CASE("asio_op: a handler may be destroyed in another thread", "[asio]") {
    test::over_backends([]() -> Task<> {
        std::optional<std::thread> thread;
        const auto body = [&]() -> Task<> {
            co_await checked_op<void()>([&](auto handler) {
                auto held = std::make_unique<decltype(handler)>(std::move(handler));
                thread.emplace([held = std::move(held)]() mutable { held = nullptr; });
            });
        };
        CHECK_AWAITED(
            test::thrown_by(body),
            == "an operation was given up: its handler was destroyed without being "
               "called"
        );
        thread->join();
    });
}

TEST_CASE(
    "asio_op: a cancelled operation may end in another thread at the same time",
    "[asio]"
) {
    OtherContext other;
    test::over_backends([&]() -> Task<> {
        for (int i = 0; i < 100; ++i) {
            asio::steady_timer timer(other.context, std::chrono::microseconds(i));
            co_await concurrency::move_on_after(
                std::chrono::microseconds(50),
                [&](auto&) -> Task<> { co_await timer.async_wait(use_task); }
            );
        }
    });
}

TEST_CASE(
    "asio_op: an operation that outlives its loop ends without a handler", "[asio]"
) {
    asio::io_context other;
    asio::steady_timer timer(other, 1h);
    bool went_on = false;
    {
        asio::io_context context;
        CHECK_THROWS_AS(
            concurrency::run(
                [&]() -> Task<> {
                    asio::post(context, [&] { context.stop(); });
                    co_await timer.async_wait(use_task);
                    went_on = true;
                },
                context
            ),
            RuntimeError
        );
    }
    CHECK(other.run() == 1);
    CHECK_FALSE(went_on);
}

TEST_CASE("asio_op: an operation that nothing can cancel outlives its loop", "[asio]") {
    test::HeldHandler<int> called;
    test::HeldHandler<int> dropped;
    const auto begin_called = called.begin();
    const auto begin_dropped = dropped.begin();
    bool went_on = false;
    {
        asio::io_context context;
        const auto left_behind = [&]() -> Task<> {
            asio::post(context, [&] { context.stop(); });
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await checked_op<void(int)>(begin_called);
                    went_on = true;
                });
                co_await checked_op<void(int)>(begin_dropped);
                went_on = true;
            });
        };
        CHECK_THROWS_AS(concurrency::run(left_behind, context), RuntimeError);
    }
    called.end(7);
    dropped.drop();
    CHECK_FALSE(went_on);
}

TEST_CASE("asio_op: the executor of a handler is one of Asio's", "[asio]") {
    test::over_backends([]() -> Task<> {
        bool in_between = false;
        co_await checked_op<void(error_code)>([&](auto handler) {
            const asio::any_io_executor executor = handler.get_executor();
            CHECK(executor == handler.get_executor());
            // What an operation is made of, in the loop's executor as well.
            auto timer = std::make_shared<asio::steady_timer>(executor, 1ms);
            timer->async_wait([&in_between,
                               timer,
                               handler = std::move(handler)](error_code error) mutable {
                in_between = true;
                std::move(handler)(error);
            });
        });
        CHECK(in_between);
        co_await checkpoint();
    });
}
