// SPDX-License-Identifier: BSL-1.0
// Operations of Asio under cancel scopes, and when their loop comes to its end.
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "held_handler.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/co_spawn.hpp>
#include <boost/asio/deferred.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/experimental/parallel_group.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <array>
#include <chrono>
#include <cstddef>
#include <exception>
#include <optional>
#include <string>
#include <tuple>

namespace asio = boost::asio;
using boost::system::error_code;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::Task;
using concurrency::use_task;
using test::checked_op;
using namespace std::chrono_literals;

namespace {

/// Runs `body` in a scope that is cancelled when `held` has begun; then calls `then`.
template <class Held, class Body, class Then>
Task<bool> cancelled_meanwhile(Held& held, CancelScope& scope, Body& body, Then& then) {
    bool completed = false;
    co_await concurrency::create_task_group([&](auto& group) -> Task<> {
        group.start_soon([&]() -> Task<> { completed = co_await scope.run(body); });
        while (!held.held()) {
            co_await checkpoint();
        }
        scope.cancel("enough");
        co_await checkpoint();
        then();
    });
    co_return completed;
}

constexpr auto long_time = 10h;

}  // namespace

TEST_CASE("asio_op: a limit ends a wait of Asio", "[asio]") {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), long_time);
        CHECK_AWAITED(
            concurrency::move_on_after(0.001, timer.async_wait(use_task)), == false
        );
        const std::size_t still_waiting = timer.cancel();
        CHECK(still_waiting == 0);
    });
}

TEST_CASE("asio_op: in a cancelled scope an operation does not begin", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<> held;
        auto begin = held.begin();
        CancelScope scope;
        scope.cancel();
        const bool completed =
            co_await scope.run([&]() -> Task<> { co_await checked_op<void()>(begin); });
        CHECK_FALSE(completed);
        CHECK(held.begun == 0);
    });
}

TEST_CASE(
    "asio_op: cancelled, it asks the operation to end and waits for that", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code> held;
        auto begin = held.begin();
        CancelScope scope;
        std::string reason;
        auto body = [&]() -> Task<> {
            try {
                co_await checked_op<void(error_code)>(begin);
            } catch (const concurrency::Cancelled& cancelled) {
                reason = cancelled.reason();
                throw;
            }
        };
        auto then = [&] {
            CHECK(held.cancels.size() == 1);
            CHECK(held.cancels.front() == asio::cancellation_type::all);
            CHECK(reason.empty());
            held.end(asio::error::operation_aborted);
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
        CHECK(reason == "enough");
    });
}

TEST_CASE(
    "asio_op: an operation that ends while it is told to is no surprise", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code> held;
        auto begin = held.begin();
        held.on_cancel = [&] {
            held.end(asio::error::operation_aborted);
        };
        CancelScope scope;
        auto body = [&]() -> Task<> {
            co_await checked_op<void(error_code)>(begin);
        };
        auto then = [] {
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
    });
}

TEST_CASE("asio_op: a result that comes after the cancellation is given", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code, int> held;
        auto begin = held.begin();
        CancelScope scope;
        int got = 0;
        bool passed = false;
        auto body = [&]() -> Task<> {
            got = co_await checked_op<void(error_code, int)>(begin);
            co_await checkpoint();
            passed = true;
        };
        auto then = [&] {
            held.end({}, 7);
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
        CHECK(got == 7);
        CHECK_FALSE(passed);
    });
}

TEST_CASE("asio_op: an error that comes after the cancellation is given", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code> held;
        auto begin = held.begin();
        CancelScope scope;
        error_code error;
        auto body = [&]() -> Task<> {
            try {
                co_await checked_op<void(error_code)>(begin);
            } catch (const boost::system::system_error& e) {
                error = e.code();
            }
        };
        auto then = [&] {
            held.end(asio::error::eof);
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == true);
        CHECK(error == asio::error::eof);
    });
}

TEST_CASE("asio_op: a result before the cancellation is kept", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code, int> held;
        auto begin = held.begin();
        int got = 0;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                got = co_await checked_op<void(error_code, int)>(begin);
            });
            while (!held.held()) {
                co_await checkpoint();
            }
            held.end({}, 7);
            group.cancel();
            CHECK(held.cancels.empty());
        });
        CHECK(got == 7);
    });
}

TEST_CASE("asio_op: as a tuple, what was done before the end comes back", "[asio]") {
    test::over_backends([]() -> Task<> {
        using Both = std::tuple<error_code, std::size_t>;
        for (const std::size_t done : {std::size_t{0}, std::size_t{3}}) {
            test::HeldHandler<Both> held;
            auto begin = held.begin();
            CancelScope scope;
            std::optional<Both> got;
            auto body = [&]() -> Task<> {
                got = co_await checked_op<void(Both)>(begin);
            };
            auto then = [&] {
                held.end(Both(asio::error::operation_aborted, done));
            };
            CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == (done != 0));
            CHECK(got.has_value() == (done != 0));
        }
    });
}

TEST_CASE("asio_op: aborted by another than its scope is an error", "[asio]") {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), long_time);
        error_code error;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                try {
                    co_await timer.async_wait(use_task);
                } catch (const boost::system::system_error& e) {
                    error = e.code();
                }
            });
            while (timer.cancel() == 0) {
                co_await checkpoint();
            }
        });
        CHECK(error == asio::error::operation_aborted);
    });
}

TEST_CASE("asio_op: a shield keeps the cancellation from the operation", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code, int> held;
        auto begin = held.begin();
        CancelScope scope;
        int got = 0;
        auto body = [&]() -> Task<> {
            got =
                co_await concurrency::shield(checked_op<void(error_code, int)>(begin));
            co_await checkpoint();
        };
        auto then = [&] {
            CHECK(held.cancels.empty());
            held.end({}, 7);
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
        CHECK(got == 7);
    });
}

TEST_CASE(
    "asio_op: a shield that comes too late takes no cancellation back", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code> held;
        auto begin = held.begin();
        CancelScope scope;
        CancelScope inner;
        bool passed = false;
        auto body = [&]() -> Task<> {
            co_await inner.run([&]() -> Task<> {
                co_await checked_op<void(error_code)>(begin);
            });
            passed = true;
        };
        auto then = [&] {
            inner.set_shield(true);
            held.end(asio::error::operation_aborted);
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
        CHECK_FALSE(passed);
    });
}

TEST_CASE(
    "asio_op: an initiation that cancels its own scope is asked to end", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), long_time);
        CancelScope scope;
        const bool completed = co_await scope.run([&]() -> Task<> {
            co_await checked_op<void(error_code)>([&](auto handler) {
                timer.async_wait(std::move(handler));
                scope.cancel();
            });
        });
        CHECK_FALSE(completed);
    });
}

TEST_CASE("asio_op: cancelled, then its handler is destroyed", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<error_code> held;
        auto begin = held.begin();
        CancelScope scope;
        auto body = [&]() -> Task<> {
            co_await checked_op<void(error_code)>(begin);
        };
        auto then = [&] {
            held.drop();
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
    });
}

TEST_CASE("asio_op: an aborted operation may say so by an exception", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<std::exception_ptr> held;
        auto begin = held.begin();
        CancelScope scope;
        auto body = [&]() -> Task<> {
            co_await checked_op<void(std::exception_ptr)>(begin);
        };
        auto then = [&] {
            held.end(std::make_exception_ptr(
                boost::system::system_error(asio::error::operation_aborted)
            ));
        };
        CHECK_AWAITED(cancelled_meanwhile(held, scope, body, then), == false);
    });
}

namespace {

/// Stops the context while `body` waits, so that its task is destroyed there; then runs
/// the rest of what the context holds.
template <class Body>
void stop_while_waiting(asio::io_context& context, Body body) {
    CHECK_THROWS_AS(
        concurrency::run(
            [&]() -> Task<> {
                co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                    group.start_soon(body);
                    co_await checkpoint();
                    co_await checkpoint();
                    context.stop();
                    co_await concurrency::sleep_forever();
                });
            },
            context
        ),
        concurrency::RuntimeError
    );
    context.restart();
    context.run();
}

}  // namespace

TEST_CASE("asio_op: a task is destroyed while it waits", "[asio]") {
    asio::io_context context;
    asio::steady_timer timer(context, long_time);
    stop_while_waiting(context, [&]() -> Task<> {
        co_await timer.async_wait(use_task);
    });
    CHECK(timer.cancel() == 0);
    test::HeldHandler<error_code> held;
    auto begin = held.begin();
    stop_while_waiting(context, [&]() -> Task<> {
        co_await checked_op<void(error_code)>(begin);
    });
    CHECK(held.cancels.size() == 1);
    held.end({});  // too late, and nobody minds
}

TEST_CASE("asio_op: a task is destroyed, and then its context", "[asio]") {
    asio::steady_timer::duration time = long_time;
    std::optional<asio::io_context> context(std::in_place);
    std::array<asio::steady_timer, 2> timers{
        asio::steady_timer(*context, time), asio::steady_timer(*context, time)};
    // Its cancellation holds what holds the handler.
    auto group = asio::experimental::make_parallel_group(
        timers[0].async_wait(asio::deferred), timers[1].async_wait(asio::deferred)
    );
    CHECK_THROWS_AS(
        concurrency::run(
            [&]() -> Task<> {
                context->stop();
                co_await checked_op<
                    void(std::array<std::size_t, 2>, error_code, error_code)>(
                    [&](auto handler) {
                        std::move(group).async_wait(
                            asio::experimental::wait_for_all(), std::move(handler)
                        );
                    }
                );
            },
            *context
        ),
        concurrency::RuntimeError
    );
}

TEST_CASE(
    "asio_op: a coroutine of Asio goes on when the task that waits for it is destroyed",
    "[asio]"
) {
    asio::io_context context;
    bool was_cancelled = false;
    stop_while_waiting(context, [&]() -> Task<> {
        co_await asio::co_spawn(
            context,
            [&]() -> asio::awaitable<void> {
                asio::steady_timer timer(co_await asio::this_coro::executor, long_time);
                try {
                    co_await timer.async_wait(asio::use_awaitable);
                } catch (const boost::system::system_error&) {
                    was_cancelled = true;
                }
            },
            use_task
        );
    });
    context.restart();
    context.run();
    CHECK(was_cancelled);
}
