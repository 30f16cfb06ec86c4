// SPDX-License-Identifier: BSL-1.0
// use_task and asio_op: what an operation gives, and what it throws.
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/task_group.hpp"
#include "held_handler.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/dispatch.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>

#include <chrono>
#include <exception>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <thread>
#include <tuple>
#include <type_traits>

namespace asio = boost::asio;
using boost::system::error_code;
using concurrency::asio_op;
using concurrency::checkpoint;
using concurrency::Task;
using concurrency::use_task;
using test::checked_op;
using namespace std::chrono_literals;

namespace {

/// An initiation that lets the executor call the handler with these values.
template <class... Values>
auto post_with(Values... values) {
    return [=](auto handler) {
        const auto executor = handler.get_executor();
        asio::post(executor, [handler = std::move(handler), values...]() mutable {
            std::move(handler)(values...);
        });
    };
}

}  // namespace

TEST_CASE("asio_op: a timer of Asio is awaited", "[asio]") {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), 1ms);
        co_await timer.async_wait(use_task);
        CHECK(timer.expiry() <= asio::steady_timer::clock_type::now());
        timer.expires_after(1ms);
        co_await checked_op<void(error_code)>([&](auto handler) {
            timer.async_wait(std::move(handler));
        });
        CHECK(timer.expiry() <= asio::steady_timer::clock_type::now());
    });
}

TEST_CASE("asio_op: a task of an operation begins it when it is awaited", "[asio]") {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<> held;
        auto begin = held.begin();
        Task<> task = checked_op<void()>(begin);
        co_await checkpoint();
        CHECK(held.begun == 0);
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK(held.begun == 1);
                held.end();
                co_return;
            });
            co_await std::move(task);
        });
        CHECK(held.begun == 1);
    });
}

TEST_CASE("use_task: values without an error come as they are", "[asio]") {
    test::over_backends([]() -> Task<> {
        auto nothing = post_with();
        static_assert(std::is_void_v<decltype(checked_op<void()>(nothing)
                      )::value_type>);
        co_await checked_op<void()>(nothing);
        auto one = post_with(7);
        CHECK_AWAITED(checked_op<void(int)>(one), == 7);
        auto both = post_with(7, std::string("text"));
        const std::tuple<int, std::string> values =
            co_await checked_op<void(int, std::string)>(both);
        CHECK(values == std::tuple(7, std::string("text")));
    });
}

TEST_CASE("use_task: an error_code that stands first is thrown or left out", "[asio]") {
    test::over_backends([]() -> Task<> {
        auto good = post_with(error_code(), 7);
        CHECK_AWAITED(checked_op<void(error_code, int)>(good), == 7);
        auto three = post_with(error_code(), 7, 'c');
        const std::tuple<int, char> rest =
            co_await checked_op<void(error_code, int, char)>(three);
        CHECK(rest == std::tuple(7, 'c'));
        auto bad = post_with(error_code(asio::error::connection_refused), 7);
        error_code thrown;
        try {
            co_await checked_op<void(error_code, int)>(bad);
        } catch (const boost::system::system_error& error) {
            thrown = error.code();
        }
        CHECK(thrown == asio::error::connection_refused);
    });
}

TEST_CASE(
    "use_task: an exception_ptr that stands first is thrown or left out", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        auto good = post_with(std::exception_ptr(), 7);
        CHECK_AWAITED(checked_op<void(std::exception_ptr, int)>(good), == 7);
        auto bad = post_with(std::make_exception_ptr(std::runtime_error("bad")));
        auto body = [&]() -> Task<> {
            co_await checked_op<void(std::exception_ptr)>(bad);
        };
        CHECK_AWAITED(test::thrown_by(body), == "bad");
    });
}

TEST_CASE("asio_op: as_tuple gives the error as a value", "[asio]") {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), 1ms);
        const auto [none] = co_await timer.async_wait(asio::as_tuple(use_task));
        CHECK_FALSE(none);
        using Both = std::tuple<error_code, int>;
        auto bad = post_with(Both(asio::error::eof, 7));
        const auto [error, value] = co_await checked_op<void(Both)>(bad);
        CHECK(error == asio::error::eof);
        CHECK(value == 7);
    });
}

TEST_CASE("asio_op: redirect_error puts the error where it is told", "[asio]") {
    test::over_backends([]() -> Task<> {
        error_code error = asio::error::eof;
        asio::steady_timer timer(concurrency::get_executor(), 1ms);
        co_await timer.async_wait(asio::redirect_error(use_task, error));
        CHECK_FALSE(error);
    });
}

TEST_CASE("asio_op: what cannot be copied is moved out", "[asio]") {
    test::over_backends([]() -> Task<> {
        const std::unique_ptr<int> value =
            co_await checked_op<void(error_code, std::unique_ptr<int>)>([](auto handler
                                                                        ) {
                std::move(handler)(error_code(), std::make_unique<int>(7));
            });
        CHECK(*value == 7);
    });
}

TEST_CASE("asio_op: the handler may be called inside the initiation", "[asio]") {
    test::over_backends([]() -> Task<> {
        for (int i = 0; i < 1000; ++i) {
            CHECK_AWAITED(
                checked_op<void(int)>([i](auto handler) { std::move(handler)(i); }),
                == i
            );
        }
    });
}

TEST_CASE("asio_op: calls that never wait let the others run", "[asio]") {
    test::over_backends([]() -> Task<> {
        bool seen = false;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                seen = true;
                co_return;
            });
            while (!seen) {
                co_await checked_op<void()>([](auto handler) { std::move(handler)(); });
            }
        });
        CHECK(seen);
    });
}

TEST_CASE(
    "asio_op: a handler may come inside another task's turn, or between two", "[asio]"
) {
    test::over_backends([]() -> Task<> {
        test::HeldHandler<int> inside;
        test::HeldHandler<int> between;
        auto begin_inside = inside.begin();
        auto begin_between = between.begin();
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_AWAITED(checked_op<void(int)>(begin_inside), == 1);
            });
            group.start_soon([&]() -> Task<> {
                CHECK_AWAITED(checked_op<void(int)>(begin_between), == 2);
            });
            while (!between.held()) {
                co_await checkpoint();
            }
            inside.end(1);
            between.post_end(2);
        });
    });
}

TEST_CASE(
    "asio_op: a handler comes in the loop's executor, whatever thread it is from",
    "[asio]"
) {
    asio::io_context other(1);
    auto work = asio::make_work_guard(other);
    std::thread thread([&] { other.run(); });
    test::over_backends([&]() -> Task<> {
        asio::steady_timer timer(other, 1ms);
        int unguarded = 0;  // which a sanitizer would see
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                co_await timer.async_wait(use_task);
                ++unguarded;
            });
            group.start_soon([&]() -> Task<> {
                co_await asio::post(other, use_task);
                ++unguarded;
            });
            co_await checkpoint();
        });
        CHECK(unguarded == 2);
    });
    work.reset();
    thread.join();
}

TEST_CASE("asio_op: a handler that is destroyed uncalled is an error", "[asio]") {
    test::over_backends([]() -> Task<> {
        auto at_once = []() -> Task<> {
            co_await checked_op<void(int)>([](auto handler) {
                const auto taken = std::move(handler);
            });
        };
        CHECK_AWAITED(
            test::thrown_by(at_once),
            == "an operation was given up: its handler was destroyed without being "
               "called"
        );
        test::HeldHandler<int> held;
        auto begin = held.begin();
        auto later = [&]() -> Task<> {
            co_await checked_op<void(int)>(begin);
        };
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                CHECK_AWAITED(
                    test::thrown_by(later),
                    == "an operation was given up: its handler was destroyed without "
                       "being called"
                );
            });
            while (!held.held()) {
                co_await checkpoint();
            }
            held.drop();
        });
    });
}

TEST_CASE("asio_op: what the initiation throws comes out", "[asio]") {
    test::over_backends([]() -> Task<> {
        auto body = []() -> Task<> {
            co_await checked_op<void(int)>([](auto) { throw std::runtime_error("no"); }
            );
        };
        CHECK_AWAITED(test::thrown_by(body), == "no");
    });
}

namespace {

struct ThrowsWhenCopied {
    ThrowsWhenCopied() = default;

    ThrowsWhenCopied(const ThrowsWhenCopied&) { throw std::runtime_error("no copy"); }

    ThrowsWhenCopied& operator=(const ThrowsWhenCopied&) = default;
};

}  // namespace

TEST_CASE("asio_op: what copying a value throws comes out of the await", "[asio]") {
    test::over_backends([]() -> Task<> {
        const ThrowsWhenCopied value;
        auto body = [&]() -> Task<> {
            co_await checked_op<void(ThrowsWhenCopied)>([&](auto handler) {
                std::move(handler)(value);
            });
        };
        CHECK_AWAITED(test::thrown_by(body), == "no copy");
    });
}

TEST_CASE("get_executor: needs a loop", "[asio]") {
    CHECK_THROWS_AS(concurrency::get_executor(), concurrency::RuntimeError);
    asio::io_context context;
    concurrency::run(
        [&]() -> Task<> {
            CHECK(concurrency::get_executor() == context.get_executor());
            co_return;
        },
        context
    );
}

TEST_CASE("asio_op: what the handler gets comes as a tuple", "[asio]") {
    test::over_backends([]() -> Task<> {
        asio::steady_timer timer(concurrency::get_executor(), 1ms);
        const auto [none] = co_await asio_op<void(error_code)>([&](auto handler) {
            timer.async_wait(std::move(handler));
        });
        CHECK_FALSE(none);
        auto bad = post_with(error_code(asio::error::connection_refused), 7);
        const auto [error, value] = co_await asio_op<void(error_code, int)>(bad);
        CHECK(error == asio::error::connection_refused);
        CHECK(value == 7);
        auto plain = post_with();
        CHECK_AWAITED(asio_op<void()>(plain), == std::tuple<>());
        auto one = post_with(7);
        CHECK_AWAITED(asio_op<void(int)>(one), == std::tuple<int>(7));
        const auto owned =
            co_await asio_op<void(std::exception_ptr, std::unique_ptr<int>)>(
                [](auto handler) {
                    std::move(handler)(std::exception_ptr(), std::make_unique<int>(7));
                }
            );
        CHECK(*std::get<1>(owned) == 7);
    });
}

TEST_CASE("asio_op: in a scope that is cancelled, what was done comes out", "[asio]") {
    test::over_backends([]() -> Task<> {
        for (const int done : {0, 3}) {
            test::HeldHandler<error_code, int> held;
            auto begin = held.begin();
            concurrency::CancelScope scope;
            std::optional<std::tuple<error_code, int>> got;
            co_await concurrency::create_task_group([&](auto& group) -> Task<> {
                group.start_soon([&]() -> Task<> {
                    co_await scope.run([&]() -> Task<> {
                        got = co_await asio_op<void(error_code, int)>(begin);
                    });
                });
                while (!held.held()) {
                    co_await checkpoint();
                }
                scope.cancel();
                held.end(asio::error::operation_aborted, done);
            });
            CHECK(held.cancels.size() == 1);
            CHECK(got.has_value() == (done != 0));
            CHECK(scope.cancelled_caught() == (done == 0));
        }
    });
}
