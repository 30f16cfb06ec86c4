// SPDX-License-Identifier: BSL-1.0
#include "mirrors.hpp"

#include "concurrency/asio.hpp"

#include <boost/asio/as_tuple.hpp>
#include <boost/asio/buffer.hpp>
#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/write.hpp>
#include <boost/beast/core/flat_buffer.hpp>
#include <boost/beast/http/empty_body.hpp>
#include <boost/beast/http/message.hpp>
#include <boost/beast/http/read.hpp>
#include <boost/beast/http/string_body.hpp>
#include <boost/beast/http/write.hpp>

#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>

namespace asio = boost::asio;
namespace http = boost::beast::http;
using asio::ip::tcp;
using concurrency::Task;
using concurrency::use_task;

std::string content_of(int file) {
    std::minstd_rand random(static_cast<unsigned>(file + 1));
    std::string content(1 + random() % 5000, ' ');
    for (char& c : content) {
        c = static_cast<char>('a' + random() % 26);
    }
    return content;
}

std::uint64_t sum_of(const std::string& content) {
    std::uint64_t sum = 14695981039346656037U;  // FNV-1a
    for (const char c : content) {
        sum = (sum ^ static_cast<unsigned char>(c)) * 1099511628211U;
    }
    return sum;
}

namespace {

/// Answers one request, each in its own way.
Task<> answer(Manners manners, tcp::socket& socket) {
    boost::beast::flat_buffer buffer;
    http::request<http::empty_body> request;
    co_await http::async_read(socket, buffer, request, use_task);
    const int file = std::stoi(std::string(request.target().substr(1)));
    http::response<http::string_body> response(http::status::ok, 11);
    response.body() = content_of(file);
    response.prepare_payload();
    switch (manners) {
    case Manners::good:
        break;
    case Manners::slow:
        co_await concurrency::sleep(0.2);
        break;
    case Manners::broken:
        response.result(http::status::internal_server_error);
        break;
    case Manners::hangs_up: {
        const std::string promised =
            "HTTP/1.1 200 OK\r\nContent-Length: 6000\r\n\r\n" + response.body();
        co_await asio::async_write(socket, asio::buffer(promised), use_task);
        co_return;
    }
    }
    co_await http::async_write(socket, response, use_task);
}

/// One client: what goes wrong with it harms no other.
Task<> serve_client(Manners manners, std::shared_ptr<tcp::socket> socket) {
    try {
        co_await answer(manners, *socket);
    } catch (const std::exception&) {
        // It has hung up, because another mirror was faster.
    }
}

}  // namespace

Task<> serve(Manners manners, concurrency::TaskStatus<unsigned short>& status) {
    const auto executor = concurrency::get_executor();
    const tcp::endpoint anywhere(asio::ip::address_v4::loopback(), 0);
    tcp::acceptor acceptor(executor, anywhere);
    status.started(acceptor.local_endpoint().port());
    co_await concurrency::create_task_group(
        [&](concurrency::TaskGroup& clients) -> Task<> {
            for (;;) {
                auto socket = std::make_shared<tcp::socket>(executor);
                co_await acceptor.async_accept(*socket, use_task);
                clients.start_soon(serve_client, manners, std::move(socket));
            }
        }
    );
}

Task<std::string> fetch_file(unsigned short port, int file) {
    tcp::socket socket(concurrency::get_executor());
    const tcp::endpoint mirror(asio::ip::address_v4::loopback(), port);
    co_await socket.async_connect(mirror, use_task);
    const std::string target = "/" + std::to_string(file);
    http::request<http::empty_body> request(http::verb::get, target, 11);
    request.set(http::field::host, "127.0.0.1");
    co_await http::async_write(socket, request, use_task);
    boost::beast::flat_buffer buffer;
    http::response<http::string_body> response;
    co_await http::async_read(socket, buffer, response, use_task);
    if (response.result() != http::status::ok) {
        throw std::runtime_error("the mirror cannot");
    }
    co_return std::move(response.body());
}
