// SPDX-License-Identifier: BSL-1.0
// Connections, descriptors, waiting, logging and finalizers across processes, by the
// rows of the conformance table, under every start method.
#include "mp/log.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"
#include "util/exit_function.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdio>
#include <string>
#include <string_view>
#include <vector>

using namespace std::chrono_literals;
using mp::Connection;

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

void send_numbers(Connection writer) {
    for (int i = 0; i < 10; ++i) {
        writer.send(i);
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

void send_level(Connection connection) {
    connection.send(static_cast<int>(mp::get_logger().level()));
}

void use_finalizers(Connection connection) {
    // Never destroyed: what follows is for the exit, when younger statics are gone
    // already.
    static auto& out = *new Connection(connection);
    const auto note = [](const char* name) {
        return [name] {
            out.send(std::string(name));
        };
    };
    { const mp::Finalize a(note("a")); }
    mp::Finalize b(note("b"));
    b();
    b();
    static auto& at_exit = *new std::vector<mp::Finalize>;
    at_exit.emplace_back(note("c"));
    at_exit.emplace_back(note("d10"), 1);
    at_exit.emplace_back(note("d01"), 0);
    at_exit.emplace_back(note("d02"), 0);
    at_exit.emplace_back(note("d03"), 0);
    at_exit.emplace_back(note("e"), -10);
}

void wait_for_message(Connection connection) {
    connection.recv_bytes();
}

std::string text_of(const std::vector<std::byte>& bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
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
    "_TestConnection.test_missing_fd_transfer: data without its descriptor",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const mp::UniqueFd wire(::fcntl(a.fileno(), F_DUPFD_CLOEXEC, 0));
    REQUIRE(::write(wire.get(), "\1", 1) == 1);
    CHECK_THROWS_AS(mp::recv_handle(b), std::system_error);
    mp::send_handle(a, wire.get());
    CHECK(mp::recv_handle(b).get() >= 0);
    a.close();
    CHECK_THROWS_AS(mp::send_handle(a, 0), std::system_error);
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    CHECK_THROWS_AS(
        mp::send_handle(writer, 0), std::system_error
    );  // a pipe carries none
    CHECK_THROWS_AS(mp::recv_handle(writer), std::system_error);
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

TEST_CASE(
    "TestWait.test_wait: messages of four processes, then the end of each",
    "[wait][process]"
) {
    const mp::Context ctx = each_start_method();
    std::vector<Connection> readers;
    std::vector<mp::Process> processes;
    for (int i = 0; i < 4; ++i) {
        auto [reader, writer] = mp::Pipe(mp::Duplex::no);
        processes.push_back(ctx.Process({.daemon = true}, send_numbers, writer));
        processes.back().start();
        readers.push_back(reader);
    }
    int received = 0;
    while (!readers.empty()) {
        const auto ready = mp::connection::wait(readers);
        for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
            const auto at = readers.begin() + static_cast<std::ptrdiff_t>(*i);
            try {
                at->recv<int>();
                ++received;
            } catch (const mp::EOFError&) {
                readers.erase(at);
            }
        }
    }
    CHECK(received == 40);
    for (mp::Process& process : processes) {
        process.join();
    }
}

TEST_CASE(
    "TestWait.test_wait_integer: a process among connections", "[wait][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto [start, starter] = mp::Pipe(mp::Duplex::no);
    auto process = ctx.Process(wait_for_message, start);
    process.start();
    CHECK(mp::connection::wait({a, process, b}, 10ms).empty());
    starter.send_bytes("go");
    using Ready = std::vector<std::size_t>;
    CHECK(mp::connection::wait({a, process, b}, 20s) == Ready{1});
    a.send_bytes("x");
    CHECK(mp::connection::wait({a, process.sentinel(), b}, 20s) == Ready{1, 2});
    process.join();
}

TEST_CASE(
    "_TestLogging.test_level: a child logs at its parent's level", "[log][process]"
) {
    const mp::Context ctx = each_start_method();
    const auto before = mp::get_logger().level();
    for (const auto level : {spdlog::level::info, spdlog::level::err}) {
        mp::get_logger().set_level(level);
        auto [reader, writer] = mp::Pipe(mp::Duplex::no);
        auto process = ctx.Process(send_level, writer);
        process.start();
        CHECK(reader.recv<int>() == static_cast<int>(level));
        process.join();
    }
    mp::get_logger().set_level(before);
}

TEST_CASE(
    "_TestFinalize.test_finalize: a child runs its finalizers in order",
    "[finalize][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [reader, writer] = mp::Pipe(mp::Duplex::no);
    auto process = ctx.Process(use_finalizers, writer);
    process.start();
    writer.close();
    std::vector<std::string> order;
    try {
        for (;;) {
            order.push_back(reader.recv<std::string>());
        }
    } catch (const mp::EOFError&) {
    }
    CHECK(order == std::vector<std::string>{"a", "b", "d10", "d03", "d02", "d01", "e"});
    process.join();
    CHECK(process.exitcode() == 0);
}
