// SPDX-License-Identifier: BSL-1.0
#include "asio_rival.hpp"

#include "bench.hpp"

#include <boost/asio/awaitable.hpp>
#include <boost/asio/co_spawn.hpp>
#include <boost/asio/detached.hpp>
#include <boost/asio/experimental/awaitable_operators.hpp>
#include <boost/asio/experimental/channel.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/redirect_error.hpp>
#include <boost/asio/steady_timer.hpp>
#include <boost/asio/this_coro.hpp>
#include <boost/asio/use_awaitable.hpp>

#include <chrono>
#include <exception>
#include <utility>
#include <vector>

namespace bench {

namespace {

namespace asio = boost::asio;
using asio::awaitable;
using asio::use_awaitable;
using Channel =
    asio::experimental::channel<void(boost::system::error_code, std::size_t)>;

awaitable<int> one() {
    co_return 1;
}

awaitable<void> nothing() {
    co_return;
}

template <class Body>
void run(Body body) {
    asio::io_context context(1);
    asio::co_spawn(context, body(context), [](const std::exception_ptr& error) {
        if (error) {
            std::rethrow_exception(error);
        }
    });
    context.run();
}

awaitable<void> send_all(Channel& channel, std::size_t count) {
    for (std::size_t i = 0; i != count; ++i) {
        co_await channel.async_send({}, i, use_awaitable);
    }
}

}  // namespace

void asio_start_many(std::size_t count) {
    run([count](asio::io_context& context) -> awaitable<void> {
        constexpr std::size_t at_once = 64;
        for (std::size_t i = 0; i != count; ++i) {
            asio::co_spawn(context, nothing(), asio::detached);
            if (i % at_once == at_once - 1) {
                co_await asio::post(context, use_awaitable);
            }
        }
    });
}

void asio_await_many(std::size_t count) {
    run([count](asio::io_context&) -> awaitable<void> {
        for (std::size_t i = 0; i != count; ++i) {
            keep(co_await one());
        }
    });
}

void asio_send_many(std::size_t count) {
    run([count](asio::io_context& context) -> awaitable<void> {
        Channel channel(context, 0);
        asio::co_spawn(context, send_all(channel, count), asio::detached);
        for (std::size_t i = 0; i != count; ++i) {
            keep(co_await channel.async_receive(use_awaitable));
        }
    });
}

void asio_lock_many(std::size_t count) {
    run([count](asio::io_context& context) -> awaitable<void> {
        Channel mutex(context, 1);
        for (std::size_t i = 0; i != count; ++i) {
            co_await mutex.async_send({}, i, use_awaitable);
            keep(co_await mutex.async_receive(use_awaitable));
        }
    });
}

void asio_limit_many(std::size_t count) {
    run([count](asio::io_context& context) -> awaitable<void> {
        using namespace asio::experimental::awaitable_operators;
        for (std::size_t i = 0; i != count; ++i) {
            asio::steady_timer timer(context, std::chrono::seconds(10));
            keep(co_await (one() || timer.async_wait(use_awaitable)));
        }
    });
}

void asio_gather_many(std::size_t count) {
    run([count](asio::io_context& context) -> awaitable<void> {
        constexpr std::size_t gathered = 1000;
        for (std::size_t i = 0; i < count; i += gathered) {
            std::vector<int> results(gathered);
            std::size_t left = gathered;
            asio::steady_timer all(context, asio::steady_timer::time_point::max());
            for (std::size_t k = 0; k != gathered; ++k) {
                asio::co_spawn(
                    context,
                    one(),
                    [&, k](const std::exception_ptr&, int result) {
                        results[k] = result;
                        if (--left == 0) {
                            all.cancel();
                        }
                    }
                );
            }
            boost::system::error_code cancelled;
            co_await all.async_wait(asio::redirect_error(use_awaitable, cancelled));
            keep(results);
        }
    });
}

}  // namespace bench
