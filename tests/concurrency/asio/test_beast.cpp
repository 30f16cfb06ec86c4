// SPDX-License-Identifier: BSL-1.0
// Boost.Beast by use_task: a request and its answer, and one that never comes.
#include "concurrency/asio.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/task_group.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/ip/tcp.hpp>
#include <boost/beast/core.hpp>
#include <boost/beast/http.hpp>

#include <string>

namespace asio = boost::asio;
namespace beast = boost::beast;
namespace http = boost::beast::http;
using asio::ip::tcp;
using concurrency::Task;
using concurrency::use_task;

namespace {

Task<> answer_one(tcp::acceptor& acceptor) {
    beast::tcp_stream stream(co_await acceptor.async_accept(use_task));
    beast::flat_buffer buffer;
    http::request<http::string_body> request;
    co_await http::async_read(stream, buffer, request, use_task);
    http::response<http::string_body> response(http::status::ok, request.version());
    response.body() = "you asked for " + std::string(request.target());
    response.prepare_payload();
    co_await http::async_write(stream, response, use_task);
}

Task<std::string> ask(const tcp::endpoint& server, const char* target) {
    beast::tcp_stream stream(concurrency::get_executor());
    co_await stream.async_connect(server, use_task);
    http::request<http::empty_body> request(http::verb::get, target, 11);
    co_await http::async_write(stream, request, use_task);
    beast::flat_buffer buffer;
    http::response<http::string_body> response;
    co_await http::async_read(stream, buffer, response, use_task);
    co_return response.body();
}

}  // namespace

TEST_CASE("asio_op Beast: a request and its answer", "[asio]") {
    test::over_backends([]() -> Task<> {
        tcp::acceptor acceptor(
            concurrency::get_executor(),
            tcp::endpoint(asio::ip::address_v4::loopback(), 0)
        );
        co_await concurrency::create_task_group([&](auto& group) -> Task<> {
            group.start_soon([&]() -> Task<> { co_await answer_one(acceptor); });
            CHECK_AWAITED(
                ask(acceptor.local_endpoint(), "/this"), == "you asked for /this"
            );
        });
    });
}

TEST_CASE("asio_op Beast: an answer that does not come ends with its limit", "[asio]") {
    test::over_backends([]() -> Task<> {
        tcp::acceptor acceptor(
            concurrency::get_executor(),
            tcp::endpoint(asio::ip::address_v4::loopback(), 0)
        );
        const auto answer = co_await concurrency::move_on_after(
            0.01, ask(acceptor.local_endpoint(), "/never")
        );
        CHECK_FALSE(answer.has_value());
    });
}
