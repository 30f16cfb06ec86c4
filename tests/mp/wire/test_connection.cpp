// SPDX-License-Identifier: BSL-1.0
// A Connection's bytes: sending and receiving, copies and closing, in threads and in
// forked children.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/wait.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/pattern.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <chrono>
#include <future>
#include <optional>
#include <string>
#include <string_view>
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
    "Connection: recv_bytes(maxlength) refuses a longer message, and no more than that",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    a.send_bytes("12345");
    CHECK(b.recv_bytes(5).size() == 5);
    a.send_bytes("123456");
    a.send_bytes("behind");
    CHECK(error_of([&, &b = b] { b.recv_bytes(5); }) == EMSGSIZE);
    CHECK(b.readable());
    CHECK(b.writable());
    b.send_bytes("still possible");
    CHECK(a.recv_bytes() == bytes_of("still possible"));
    CHECK(b.poll());
    CHECK(b.recv_bytes() == bytes_of("behind"));

    auto [reader, writer] = mp::Pipe(Duplex::no);
    writer.send_bytes("1");
    CHECK(error_of([&, &r = reader] { r.recv_bytes(0); }) == EMSGSIZE);
    CHECK_FALSE(reader.closed());
    // What was refused is not there to be received.
    CHECK_FALSE(reader.poll());
    writer.send_bytes("");
    CHECK(reader.poll());
    CHECK(reader.recv_bytes(0).empty());
    writer.send_bytes("12");
    CHECK(error_of([&, &r = reader] { r.recv_bytes(1); }) == EMSGSIZE);
    writer.close();
    CHECK(reader.poll());
    CHECK_THROWS_AS(reader.recv_bytes(), EOFError);
}

TEST_CASE(
    "Connection: a message beyond max_message_size is refused, however it is received",
    "[connection]"
) {
    auto [a, b] = mp::Pipe({.max_message_size = 1000});
    CHECK(b.max_message_size() == 1000);
    const Bytes large = pattern(1001);
    Bytes buffer(2000);
    for (int round = 0; round < 3; ++round) {
        a.send_bytes(large);
        CHECK(error_of([&, &b = b] { b.recv_bytes(); }) == EMSGSIZE);
        a.send_bytes(large);
        CHECK(error_of([&, &b = b] { b.recv_bytes(5000); }) == EMSGSIZE);
        a.send_bytes(large);
        CHECK(error_of([&, &b = b] { b.recv_bytes_into(buffer); }) == EMSGSIZE);
        a.send(std::string(1000, 'x'));
        CHECK(error_of([&, &b = b] { b.recv<std::string>(); }) == EMSGSIZE);
        a.send_bytes(pattern(1000));
        CHECK(b.recv_bytes() == pattern(1000));
        b.send(round);
        CHECK(a.recv<int>() == round);
    }
    b.set_max_message_size(std::nullopt);
    CHECK_FALSE(b.max_message_size());
    a.send_bytes(large);
    CHECK(b.recv_bytes() == large);

    auto [first, second] = os::make_socketpair(os::SocketKind::stream);
    Connection limited(std::move(first), {.max_message_size = 3});
    Connection other(std::move(second));
    other.send_bytes("four");
    CHECK(error_of([&] { limited.recv_bytes(); }) == EMSGSIZE);
    CHECK(error_of([&] { Connection().set_max_message_size(1); }) == EBADF);
}

TEST_CASE(
    "Connection: an end that stands inside of a refused message can travel",
    "[connection]"
) {
    auto [a, b] = mp::Pipe({.max_message_size = 10});
    auto [to, from] = mp::Pipe();
    a.send_bytes("much too long for it");
    a.send_bytes("behind");
    CHECK(error_of([&, &b = b] { b.recv_bytes(); }) == EMSGSIZE);
    to.send(b);
    b.close();
    auto copy = from.recv<Connection>();
    CHECK(copy.max_message_size() == 10);
    CHECK(copy.recv_bytes() == bytes_of("behind"));
}

TEST_CASE(
    "Connection: what is refused as a whole is not there for wait()", "[connection]"
) {
    auto [a, b] = mp::Pipe({.max_message_size = 10});
    a.send_bytes(pattern(1000));
    CHECK(error_of([&, &b = b] { b.recv_bytes(); }) == EMSGSIZE);
    CHECK(connection::wait({b}, 0s).empty());
    a.send_bytes("behind");
    CHECK(connection::wait({b}, 0s).size() == 1);
    CHECK(b.recv_bytes() == bytes_of("behind"));
}

TEST_CASE(
    "Connection: poll() comes back from a refused message that never ends",
    "[connection]"
) {
    // A file in the place of a writer that is always quicker: it is there as a whole.
    constexpr off_t endless = off_t{1} << 30;
    UniqueFd file(::memfd_create("endless", MFD_CLOEXEC));
    REQUIRE(::pwrite(file.get(), "\x3f\xff\xff\xff", 4, 0) == 4);
    REQUIRE(::ftruncate(file.get(), endless) == 0);
    Connection receiver(std::move(file), Direction::read);
    CHECK(error_of([&] { receiver.recv_bytes(10); }) == EMSGSIZE);
    const off_t at_first = ::lseek(receiver.fileno(), 0, SEEK_CUR);
    CHECK_FALSE(receiver.poll());
    const off_t then = ::lseek(receiver.fileno(), 0, SEEK_CUR);
    CHECK(then > at_first);
    CHECK(then < endless / 8);
}

TEST_CASE(
    "Connection: the writer ends inside of a message that was refused", "[connection]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    Connection connection(std::move(a), {.max_message_size = 10});
    os::send_all(
        b.get(),
        bytes_of(std::string_view(
            "\xff\xff\xff\xff\x7f\0\0\0\0\0\0\0"
            "abc",
            15
        )),
        Deadline(forever)
    );
    CHECK(error_of([&] { connection.recv_bytes(); }) == EMSGSIZE);
    CHECK_FALSE(connection.poll());
    b.reset();
    CHECK(connection.poll(30s));
    CHECK(error_of([&] { connection.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE("Connection: a refused send says nothing", "[connection]") {
    // A packet has a size, which the kernel keeps to.
    auto [a, b] = os::make_socketpair(os::SocketKind::seqpacket);
    Connection connection(std::move(a));
    CHECK(error_of([&] { connection.send_bytes(pattern(16 << 20)); }) == EMSGSIZE);
    CHECK(connection.readable());
    CHECK(connection.writable());
    connection.send_bytes("ab");
    Bytes got(100);
    got.resize(os::receive_some(b.get(), got, Deadline(30s)));
    CHECK(got == bytes_of(std::string_view("\0\0\0\2ab", 6)));
    os::send_all(b.get(), bytes_of(std::string_view("\0\0\0\0", 4)), Deadline(30s));
    CHECK(connection.recv_bytes().empty());
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
