// SPDX-License-Identifier: BSL-1.0
// Connections, and the descriptors and connections sent over them, between processes,
// by the rows of the conformance table, under every start method.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <stdexcept>
#include <string>
#include <vector>

using mp::Connection;
using test::text_of;

namespace {

// Until an empty message: under fork the child holds the other end too, so it would
// never see the end of the stream.
void echo(Connection connection) {
    for (;;) {
        const std::vector<std::byte> message = connection.recv_bytes();
        if (message.empty()) {
            return;
        }
        connection.send_bytes(message);
    }
}

void echo_objects(Connection connection) {
    for (;;) {
        const auto texts = connection.recv<std::vector<std::string>>();
        if (texts.empty()) {
            return;
        }
        connection.send(texts);
    }
}

void send_a_connection(Connection connection) {
    auto [kept, sent] = mp::Pipe();
    connection.send(sent);
    sent.close();
    kept.send_bytes("over the sent one");
    kept.recv_bytes();
}

void use_ends(Connection connection) {
    auto writer = connection.recv<Connection>();
    writer.send(std::string("from the child"));
    writer.close();
    auto reader = connection.recv<Connection>();
    connection.send(reader.recv<int>() + (reader.writable() ? 1000 : 0));
}

void write_to_received_handle(Connection connection, std::string text, bool high) {
    mp::UniqueFd fd = mp::recv_handle(connection);
    if (high) {
        fd.reset(::fcntl(fd.get(), F_DUPFD_CLOEXEC, 300));
    }
    if (::write(fd.get(), text.data(), text.size()) !=
        static_cast<ssize_t>(text.size())) {
        throw std::runtime_error("write");
    }
}

std::string all_of(int fd) {
    std::array<char, 100> text{};
    const ssize_t n = ::pread(fd, text.data(), text.size(), 0);
    return {text.data(), static_cast<std::size_t>(std::max<ssize_t>(n, 0))};
}

}  // namespace

TEST_CASE(
    "_TestConnection.test_connection: bytes and objects to a process and back",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto bytes = ctx.Process(echo, b);
    bytes.start();
    b.close();
    const std::string megabytes(std::size_t{16} << 20, 'm');
    a.send_bytes("hello");
    CHECK(text_of(a.recv_bytes()) == "hello");
    a.send_bytes(megabytes);
    CHECK(text_of(a.recv_bytes()) == megabytes);
    a.send_bytes("");
    bytes.join();
    CHECK(bytes.exitcode() == 0);

    auto [c, d] = mp::Pipe();
    auto objects = ctx.Process(echo_objects, d);
    objects.start();
    d.close();
    const std::vector<std::string> texts{"one", "", "three"};
    c.send(texts);
    CHECK(c.recv<std::vector<std::string>>() == texts);
    c.send(std::vector<std::string>());
    objects.join();
    CHECK(objects.exitcode() == 0);
}

TEST_CASE(
    "_TestConnection.test_spawn_close: closing our copy of the child's end at once",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto process = ctx.Process(echo, b);
    process.start();
    b.close();
    a.send_bytes("hello");
    CHECK(text_of(a.recv_bytes()) == "hello");
    a.send_bytes("");
    process.join();
    CHECK(process.exitcode() == 0);
}

TEST_CASE(
    "_TestConnection.test_fd_transfer: the child writes to a file of ours",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto process = ctx.Process(write_to_received_handle, b, "by the child", false);
    process.start();
    b.close();
    std::FILE* file = std::tmpfile();
    mp::send_handle(a, ::fileno(file));
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(all_of(::fileno(file)) == "by the child");
    std::fclose(file);
}

TEST_CASE(
    "_TestConnection.test_large_fd_transfer: with a number above 256 on both sides",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto process = ctx.Process(write_to_received_handle, b, "by the child", true);
    process.start();
    b.close();
    std::FILE* file = std::tmpfile();
    {
        const mp::UniqueFd high(::fcntl(::fileno(file), F_DUPFD_CLOEXEC, 300));
        REQUIRE(high.get() >= 300);
        mp::send_handle(a, high.get());
    }
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(all_of(::fileno(file)) == "by the child");
    std::fclose(file);
}

TEST_CASE(
    "_TestPicklingConnections.test_pickling: a child sends us a connection",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto process = ctx.Process(send_a_connection, b);
    process.start();
    b.close();
    auto sent = a.recv<Connection>();
    CHECK(text_of(sent.recv_bytes()) == "over the sent one");
    sent.send_bytes("");
    process.join();
    CHECK(process.exitcode() == 0);
}

TEST_CASE(
    "_TestPicklingConnections.test_access: one-way ends sent to a child",
    "[connection][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto process = ctx.Process(use_ends, b);
    process.start();
    b.close();
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    a.send(writer);
    writer.close();
    CHECK(reader.recv<std::string>() == "from the child");
    CHECK_THROWS_AS(reader.recv<std::string>(), mp::EOFError);
    auto [reader2, writer2] = mp::Pipe(mp::Duplex::no);
    a.send(reader2);
    reader2.close();
    writer2.send(41);
    CHECK(a.recv<int>() == 41);
    process.join();
    CHECK(process.exitcode() == 0);
}
