// SPDX-License-Identifier: BSL-1.0
// Sockets, resolvers and composed operations under limits: no byte is lost.
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/buffer.hpp>
#include <boost/asio/connect.hpp>
#include <boost/asio/error.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/local/connect_pair.hpp>
#include <boost/asio/local/stream_protocol.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include <cstddef>
#include <exception>
#include <optional>
#include <random>
#include <string>

namespace asio = boost::asio;
using asio::ip::tcp;
using boost::system::error_code;
using concurrency::CancelScope;
using concurrency::checkpoint;
using concurrency::Task;
using concurrency::use_task;
using Local = asio::local::stream_protocol::socket;

namespace {

// The thread in which Asio resolves names stays with the system executor.
[[maybe_unused]] const bool resolver_is_there = [] {
    concurrency::run(
        []() -> Task<> {
            tcp::resolver resolver(concurrency::get_executor());
            co_await resolver.async_resolve("127.0.0.1", "1", use_task);
        },
        concurrency::Backend::system_executor
    );
    return true;
}();

struct Pair {
    Local a{concurrency::get_executor()};
    Local b{concurrency::get_executor()};

    Pair() { asio::local::connect_pair(a, b); }
};

}  // namespace

TEST_CASE("asio_op sockets: bytes go through a pair of sockets", "[asio]") {
    test::over_backends([]() -> Task<> {
        Pair pair;
        const std::string sent = "some text";
        CHECK_AWAITED(
            asio::async_write(pair.a, asio::buffer(sent), use_task), == sent.size()
        );
        pair.a.close();
        std::string got;
        error_code error;
        try {
            co_await asio::async_read(pair.b, asio::dynamic_buffer(got), use_task);
        } catch (const boost::system::system_error& e) {
            error = e.code();
        }
        CHECK(error == asio::error::eof);
        CHECK(got == sent);
    });
}

TEST_CASE("asio_op sockets: a name is resolved, and a connection made", "[asio]") {
    test::over_backends([]() -> Task<> {
        const auto executor = concurrency::get_executor();
        tcp::acceptor acceptor(
            executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)
        );
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                tcp::socket socket = co_await acceptor.async_accept(use_task);
                const std::string line = "welcome\n";
                co_await asio::async_write(socket, asio::buffer(line), use_task);
            });
            tcp::resolver resolver(executor);
            const std::string port = std::to_string(acceptor.local_endpoint().port());
            const auto found =
                co_await resolver.async_resolve("127.0.0.1", port, use_task);
            tcp::socket socket(executor);
            const tcp::endpoint peer =
                co_await asio::async_connect(socket, found, use_task);
            CHECK(peer == acceptor.local_endpoint());
            std::string text;
            const std::size_t size = co_await asio::async_read_until(
                socket, asio::dynamic_buffer(text), '\n', use_task
            );
            CHECK(text.substr(0, size) == "welcome\n");
        });
    });
}

TEST_CASE("asio_op sockets: an accept and a read end with their limits", "[asio]") {
    test::over_backends([]() -> Task<> {
        const auto executor = concurrency::get_executor();
        tcp::acceptor acceptor(
            executor, tcp::endpoint(asio::ip::address_v4::loopback(), 0)
        );
        const auto accepted =
            co_await concurrency::move_on_after(0, acceptor.async_accept(use_task));
        CHECK_FALSE(accepted.has_value());
        Pair pair;
        char byte = 0;
        const auto read = co_await concurrency::move_on_after(
            0.001, pair.b.async_read_some(asio::buffer(&byte, 1), use_task)
        );
        CHECK_FALSE(read.has_value());
        // Both can be used again.
        CHECK_AWAITED(pair.a.async_write_some(asio::buffer("x", 1), use_task), == 1);
        CHECK_AWAITED(pair.b.async_read_some(asio::buffer(&byte, 1), use_task), == 1);
        CHECK(byte == 'x');
    });
}

TEST_CASE("asio_op sockets: reads under limits lose no byte", "[asio]") {
    test::over_backends([]() -> Task<> {
        constexpr int rounds = 1000;
        constexpr int rounds_a_limit = 50;
        Pair pair;
        std::mt19937 random(7);
        int written = 0;
        int read = 0;
        int limits = 0;
        char next_sent = 0;
        char next_read = 0;
        bool in_order = true;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                for (; written < rounds; ++written) {
                    const char byte = next_sent++;
                    co_await pair.a.async_write_some(asio::buffer(&byte, 1), use_task);
                    for (auto i = random() % 3; i > 0; --i) {
                        co_await checkpoint();
                    }
                    // However slow the processor: each so often a read finds nothing.
                    const int before = limits;
                    while (written % rounds_a_limit == 0 && limits == before) {
                        co_await checkpoint();
                    }
                }
                pair.a.close();
            });
            bool more = true;
            while (more) {
                CancelScope scope;
                char byte = 0;
                std::optional<std::size_t> size;
                const auto turns = random() % 4;
                co_await concurrency::create_task_group([&](auto& inner) -> Task<> {
                    inner.start_soon([&]() -> Task<> {
                        for (auto i = turns; i > 0; --i) {
                            co_await checkpoint();
                        }
                        scope.cancel();
                    });
                    co_await scope.run([&]() -> Task<> {
                        const auto token = asio::as_tuple(use_task);
                        const auto [error, count] = co_await pair.b.async_read_some(
                            asio::buffer(&byte, 1), token
                        );
                        size = count;
                        more = !error;
                    });
                });
                if (size == 1U) {
                    ++read;
                    in_order = in_order && byte == next_read++;
                } else if (!size) {
                    ++limits;
                }
            }
        });
        CHECK(read == written);
        CHECK(in_order);
        CHECK(limits >= rounds / rounds_a_limit);
    });
}

TEST_CASE(
    "asio_op sockets: a composed read that is cancelled half-way says what it has",
    "[asio]"
) {
    test::over_backends([]() -> Task<> {
        Pair pair;
        std::string room(10, '.');
        co_await pair.a.async_write_some(asio::buffer("abc", 3), use_task);
        CancelScope scope;
        std::size_t got = 0;
        error_code error;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                while (pair.b.available() != 0) {
                    co_await checkpoint();
                }
                scope.cancel();
            });
            co_await scope.run([&]() -> Task<> {
                const auto token = asio::as_tuple(use_task);
                std::tie(error, got) =
                    co_await asio::async_read(pair.b, asio::buffer(room), token);
            });
        });
        CHECK(error == asio::error::operation_aborted);
        CHECK(got == 3);
        CHECK(room.substr(0, 3) == "abc");
    });
}

TEST_CASE("asio_op sockets: a socket that is closed meanwhile is an error", "[asio]") {
    test::over_backends([]() -> Task<> {
        Pair pair;
        error_code error;
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> {
                char byte = 0;
                try {
                    co_await pair.b.async_read_some(asio::buffer(&byte, 1), use_task);
                } catch (const boost::system::system_error& e) {
                    error = e.code();
                }
            });
            co_await checkpoint();
            co_await checkpoint();
            pair.b.close();
        });
        CHECK(error == asio::error::operation_aborted);
    });
}
