// SPDX-License-Identifier: BSL-1.0
// What happens to a Connection's messages when the process at the other end dies, when
// signals rain and when the pieces are small.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/pattern.hpp"
#include "support/start_methods.hpp"
#include "support/text_of.hpp"

#include <signal.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <functional>
#include <future>
#include <span>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using test::bytes_of;
using test::connection_and_wire;
using test::error_of;
using test::never;
using test::pattern;
using test::text_of;

namespace {

using Bytes = std::vector<std::byte>;

void send_and_be_killed(Connection connection, int size) {
    connection.send(std::vector<int>(100, 1));
    connection.send(std::string(static_cast<std::size_t>(size), 'x'));
    ::raise(SIGKILL);
}

}  // namespace

TEST_CASE(
    "P1 P2 P3: Connection: a process killed while it sends", "[connection][process]"
) {
    const Context ctx = each_start_method();
    const int size = GENERATE(10, 3'000'000);
    auto [a, b] = Pipe();
    auto process = ctx.Process(send_and_be_killed, b, size);
    process.start();
    b.close();
    CHECK(a.recv<std::vector<int>>() == std::vector<int>(100, 1));
    if (size == 10) {
        CHECK(a.recv<std::string>() == "xxxxxxxxxx");
        process.join();
        CHECK_THROWS_AS(a.recv<std::string>(), EOFError);
    } else {
        CHECK(a.poll(30s));
        process.kill();  // it is inside: its message is larger than what fits between
        CHECK(error_of([&, &a = a] { a.recv<std::string>(); }) == ECONNRESET);
        process.join();
    }
    CHECK(error_of([&, &a = a] { a.send_bytes("anybody there?"); }) == EPIPE);
    CHECK(process.exitcode() == -SIGKILL);
}

TEST_CASE(
    "P3: Connection: a message that is cut off is an error, wherever it is cut",
    "[connection]"
) {
    const std::string_view message("\0\0\0\5hello", 9);
    const std::size_t cut = GENERATE(1U, 3U, 4U, 5U, 8U);
    auto [connection, wire] = connection_and_wire();
    os::send_all(wire.get(), bytes_of(message.substr(0, cut)), never);
    wire.reset();
    CHECK(connection.poll());
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE(
    "P3: Connection: the sender is killed in the middle of a message", "[connection]"
) {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    auto [reader, writer] = mp::Pipe(duplex);
    const pid_t child = test::fork_child([reader = reader, writer = writer]() mutable {
        reader.close();
        writer.send_bytes(pattern(50'000'000));  // far more than fits in between
        return 0;
    });
    writer.close();
    CHECK(reader.poll(forever));
    ::kill(child, SIGKILL);
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(error_of([&, &r = reader] { r.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE(
    "P1: Connection: sending to a dead process is EPIPE, never SIGPIPE", "[connection]"
) {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    const std::size_t size = GENERATE(1U, 16384U, 1'000'000U);
    auto [reader, writer] = mp::Pipe(duplex);
    const pid_t child = test::fork_child([] {
        ::pause();
        return 0;
    });
    reader.close();
    ::kill(child, SIGKILL);
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(error_of([&, &w = writer] { w.send_bytes(pattern(size)); }) == EPIPE);
}

TEST_CASE(
    "P2: Connection: what a dead process had sent comes first, then the end",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    a.send_bytes("never read");
    const pid_t child = test::fork_child([b = b]() mutable {
        b.send_bytes("one");
        b.send_bytes("two");
        ::raise(SIGKILL);
        return 0;
    });
    b.close();
    CHECK(test::exit_status(child) == -SIGKILL);
    CHECK(a.recv_bytes() == bytes_of("one"));
    CHECK(a.recv_bytes() == bytes_of("two"));
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
}

TEST_CASE("P5: Connection: whatever the pieces, messages are whole", "[connection]") {
    // Small buffers and a reader of single bytes: all writes and reads are short.
    auto [a, wire] = os::make_socketpair(os::SocketKind::stream);
    const int little = 1;
    REQUIRE(::setsockopt(a.get(), SOL_SOCKET, SO_SNDBUF, &little, sizeof little) == 0);
    Connection sender(std::move(a));
    auto [b, other_wire] = os::make_socketpair(os::SocketKind::stream);
    Connection receiver(std::move(b));
    const auto pass_on = [](const UniqueFd& from, UniqueFd& to) {
        std::array<std::byte, 7> piece{};
        for (std::size_t size = 1;; size = size % piece.size() + 1) {
            const std::size_t n =
                os::receive_some(from.get(), std::span(piece).first(size), never);
            if (n == 0) {
                to.reset();
                return;
            }
            os::send_all(to.get(), std::span(piece).first(n), never);
        }
    };
    auto relay =
        std::async(std::launch::async, pass_on, std::cref(wire), std::ref(other_wire));
    auto sending = std::async(std::launch::async, [&] {
        for (std::size_t size : {0U, 1U, 3U, 4U, 5U, 4095U, 4097U, 70'000U}) {
            sender.send_bytes(std::string(size, 's'));
            sender.send(std::string(size, 'o'));
        }
        sender.close();
    });
    for (std::size_t size : {0U, 1U, 3U, 4U, 5U, 4095U, 4097U, 70'000U}) {
        CHECK(text_of(receiver.recv_bytes()) == std::string(size, 's'));
        CHECK(receiver.recv<std::string>() == std::string(size, 'o'));
    }
    CHECK_THROWS_AS(receiver.recv_bytes(), EOFError);
    sending.get();
    relay.get();
}

TEST_CASE("P6: Connection: messages of every size arrive whole", "[connection]") {
    const Duplex duplex = GENERATE(Duplex::yes, Duplex::no);
    auto [reader, writer] = mp::Pipe(duplex);
    std::thread sending([writer = writer]() mutable {
        for (const std::size_t size : test::message_sizes) {
            writer.send_bytes(pattern(size));
        }
    });
    for (const std::size_t size : test::message_sizes) {
        CHECK(reader.recv_bytes() == pattern(size));
    }
    sending.join();
}

TEST_CASE("P7: Connection: small messages of many writers do not mix", "[connection]") {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    constexpr int writers = 4;
    constexpr int each = 500;
    std::vector<pid_t> children;
    for (int w = 0; w < writers; ++w) {
        children.push_back(test::fork_child([reader = reader, writer = writer, w](
                                            ) mutable {
            reader.close();
            for (int i = 0; i < each; ++i) {
                writer.send_bytes(std::string(1000, static_cast<char>('a' + w)));
            }
            return 0;
        }));
    }
    writer.close();
    int wrong = 0;
    int received = 0;
    try {
        for (;; ++received) {
            const Bytes message = reader.recv_bytes();
            wrong += message != Bytes(1000, message.front()) ? 1 : 0;
        }
    } catch (const EOFError&) {
    }
    CHECK(received == writers * each);
    CHECK(wrong == 0);
    for (const pid_t child : children) {
        CHECK(test::exit_status(child) == 0);
    }
}

TEST_CASE(
    "P20: Connection: both sides send first: a thread on one side is enough",
    "[connection]"
) {
    const std::string large(10'000'000, 'x');
    auto [a, b] = Pipe();
    const pid_t child = test::fork_child([&, &a = a, &b = b]() mutable {
        a.close();
        b.send_bytes(large);
        return b.recv_bytes().size() == large.size() ? 0 : 1;
    });
    b.close();
    auto sending = std::async(std::launch::async, [&, &a = a] { a.send_bytes(large); });
    CHECK(a.recv_bytes().size() == large.size());
    sending.get();
    CHECK(test::exit_status(child) == 0);
}
