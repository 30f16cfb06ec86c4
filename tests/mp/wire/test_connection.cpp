// SPDX-License-Identifier: BSL-1.0
// A Connection's bytes: sending and receiving, copies and closing, in threads and in
// forked children.
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/pattern.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using test::bytes_of;
using test::echo;
using test::error_of;
using test::pattern;

namespace {

using Bytes = std::vector<std::byte>;

}  // namespace

TEST_CASE("Connection: an echo process over a duplex pipe", "[connection]") {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        return echo(b);
    });
    b.close();
    CHECK(a.readable());
    CHECK(a.writable());
    CHECK_FALSE(a.poll());
    CHECK_FALSE(a.poll(-1s));
    CHECK_FALSE(a.poll(10ms));

    a.send_bytes("a latin-1 string");
    CHECK(a.recv_bytes() == bytes_of("a latin-1 string"));

    Bytes buffer(20, std::byte{0});
    a.send_bytes("hello");
    CHECK(a.recv_bytes_into(buffer) == 5);
    Bytes expected = bytes_of("hello");
    expected.resize(20);
    CHECK(buffer == expected);
    a.send_bytes("hello");
    CHECK(a.recv_bytes_into(buffer, 3) == 5);
    CHECK(std::equal(buffer.begin() + 3, buffer.begin() + 8, bytes_of("hello").begin())
    );

    const Bytes too_long = pattern(100);
    a.send_bytes(too_long);
    try {
        a.recv_bytes_into(buffer);
        FAIL("expected BufferTooShort");
    } catch (const BufferTooShort& e) {
        CHECK(e.message == too_long);
    }

    a.send_bytes("x");
    CHECK(a.poll(forever));
    CHECK(a.poll());
    CHECK(a.recv_bytes() == bytes_of("x"));

    const Bytes huge = pattern(16 << 20);
    a.send_bytes(huge);
    CHECK(a.recv_bytes() == huge);
    a.close();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("Connection: the end of the stream", "[connection]") {
    auto [a, b] = mp::Pipe();
    b.send_bytes("last");
    b.close();
    CHECK(a.poll());
    CHECK(a.recv_bytes() == bytes_of("last"));
    CHECK(a.poll());
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
    Bytes buffer(10);
    CHECK_THROWS_AS(a.recv_bytes_into(buffer), EOFError);
    CHECK_THROWS_AS(a.recv_bytes(), EOFError);
}

TEST_CASE(
    "Connection: recv_bytes(maxlength) refuses a longer message and all after it",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    a.send_bytes("12345");
    CHECK(b.recv_bytes(5).size() == 5);
    a.send_bytes("123456");
    CHECK(error_of([&, &b = b] { b.recv_bytes(5); }) == EMSGSIZE);
    CHECK_FALSE(b.readable());
    CHECK(error_of([&, &b = b] { b.recv_bytes(); }) == EBADF);
    b.send_bytes("still possible");
    CHECK(a.recv_bytes() == bytes_of("still possible"));

    auto [reader, writer] = mp::Pipe(Duplex::no);
    writer.send_bytes("1");
    CHECK(error_of([&, &r = reader] { r.recv_bytes(0); }) == EMSGSIZE);
    CHECK(reader.closed());
}

TEST_CASE(
    "Connection: recv_bytes_into with a bad offset takes nothing", "[connection]"
) {
    auto [a, b] = mp::Pipe();
    Bytes buffer(4);
    a.send_bytes("1");
    CHECK_THROWS_AS(b.recv_bytes_into(buffer, 5), std::invalid_argument);
    CHECK(b.recv_bytes_into(buffer, 3) == 1);
    a.send_bytes("");
    CHECK(b.recv_bytes_into(buffer, 4) == 0);
}

TEST_CASE("Connection: the descriptor goes with the last copy", "[connection]") {
    auto [a, b] = mp::Pipe();
    {
        const Connection copy = a;
        a = Connection();
        b.send_bytes("x");
        CHECK_FALSE(b.poll());
    }
    CHECK(b.poll());
}

TEST_CASE(
    "Connection: close() while another thread receives waits for that message",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const int fd = a.fileno();
    std::promise<void> started;
    auto received = std::async(std::launch::async, [a = a, &started]() mutable {
        started.set_value();
        return a.recv_bytes();
    });
    started.get_future().wait();
    b.send_bytes("part");
    a.close();
    // Either the receiver was inside before the close and gets its message, or it is
    // told.
    Bytes message = bytes_of("part");
    const int error = error_of([&] { message = received.get(); });
    CHECK((error == 0 || error == EBADF));
    CHECK(message == bytes_of("part"));
    CHECK(::fcntl(fd, F_GETFD) == -1);
}

TEST_CASE(
    "Connection: a child closes its copy although the parent was receiving",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    auto receiving =
        std::async(std::launch::async, [a = a]() mutable { return a.recv_bytes(); });
    // Fork when the other thread is surely inside: a message taken proves nothing, so
    // both orders are tried many times.
    int failed = 0;
    for (int i = 0; i < 20; ++i) {
        failed += test::run_in_fork([a = a]() mutable {
            const int fd = a.fileno();
            a.close();
            return ::fcntl(fd, F_GETFD) == -1 ? 0 : 1;
        });
    }
    b.send_bytes("done");
    CHECK(receiving.get() == bytes_of("done"));
    CHECK(failed == 0);
}

TEST_CASE("Connection: the parent closes its copy of the child's end", "[connection]") {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        return echo(b);
    });
    b.close();
    a.send_bytes("hello");
    CHECK(a.recv_bytes() == bytes_of("hello"));
    a.close();
    CHECK(test::exit_status(child) == 0);
}
