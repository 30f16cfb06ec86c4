// SPDX-License-Identifier: BSL-1.0
// Connections, polling and descriptors in one process and over forks, by the rows of
// the conformance table. Across processes of every start method:
// test_connection_process_rows.cpp.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/send_handle.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/fork_child.hpp"
#include "support/pattern.hpp"
#include "support/signal_storm.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <future>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using test::bytes_of;
using test::error_of;
using test::pattern;

namespace {

using Bytes = std::vector<std::byte>;

}  // namespace

TEST_CASE(
    "_TestConnection.test_duplex_false: one end receives, the other sends",
    "[connection]"
) {
    auto [reader, writer] = mp::Pipe({.duplex = false});
    writer.send_bytes("abc");
    CHECK(reader.recv_bytes() == bytes_of("abc"));
    CHECK(reader.readable());
    CHECK_FALSE(reader.writable());
    CHECK_FALSE(writer.readable());
    CHECK(writer.writable());
    CHECK(error_of([&, &r = reader] { r.send_bytes("x"); }) == EBADF);
    CHECK(error_of([&, &w = writer] { w.recv_bytes(); }) == EBADF);
    CHECK(error_of([&, &w = writer] { w.poll(); }) == EBADF);
}

TEST_CASE("_TestConnection.test_sendbytes: slices", "[connection]") {
    auto [a, b] = mp::Pipe();
    const Bytes letters = bytes_of("abcdefghijklmnopqrstuvwxyz");
    const auto sent = [&, &a = a, &b = b](auto... slice) {
        a.send_bytes(letters, slice...);
        return b.recv_bytes();
    };
    CHECK(sent() == letters);
    CHECK(sent(5U) == Bytes(letters.begin() + 5, letters.end()));
    CHECK(sent(7U, 8U) == Bytes(letters.begin() + 7, letters.begin() + 15));
    CHECK(sent(0U, 0U).empty());
    CHECK(sent(26U).empty());
    CHECK(sent(26U, 0U).empty());
    for (const auto& [offset, size] : std::vector<std::pair<std::size_t, std::size_t>>{
             {27, 0},
             {22, 5},
             {26, 1},
             {static_cast<std::size_t>(-1), 0},
             {4, static_cast<std::size_t>(-1)}}) {
        CHECK_THROWS_AS(a.send_bytes(letters, offset, size), std::invalid_argument);
    }
    CHECK_FALSE(b.poll());
}

TEST_CASE(
    "_TestConnection.test_context: a closed connection refuses everything",
    "[connection]"
) {
    auto [a, b] = mp::Pipe();
    const Connection copy = a;
    const int fd = a.fileno();
    CHECK(fd >= 0);
    CHECK_FALSE(a.closed());
    a.close();
    a.close();
    CHECK(a.closed());
    CHECK(copy.closed());
    CHECK(::fcntl(fd, F_GETFD) == -1);
    Bytes buffer(1);
    CHECK(error_of([&, &a = a] { a.fileno(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.poll(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.recv_bytes(); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.recv_bytes_into(buffer); }) == EBADF);
    CHECK(error_of([&, &a = a] { a.send_bytes("x"); }) == EBADF);
    CHECK_THROWS_AS(b.recv_bytes(), EOFError);
    CHECK(Connection().closed());
    CHECK(error_of([] { Connection().recv_bytes(); }) == EBADF);
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
    "TestInvalidHandle.test_invalid_handles: nonsense descriptors", "[connection]"
) {
    CHECK_THROWS_AS(Connection(UniqueFd()), std::invalid_argument);
    CHECK_THROWS_AS(Connection(UniqueFd(-1)), std::invalid_argument);
    Connection nonsense(UniqueFd(44977608));
    CHECK(error_of([&] { nonsense.poll(); }) == EBADF);
    CHECK(error_of([&] { nonsense.recv_bytes(); }) == EBADF);
    CHECK(error_of([&] { nonsense.send_bytes("x"); }) == EBADF);
}

TEST_CASE(
    "TestIgnoreEINTR.test_ignore: signals do not break blocked calls", "[connection]"
) {
    auto [a, b] = mp::Pipe();
    std::thread other([b = b]() mutable {
        const test::SignalStorm storm;
        for (int i = 0; i < 3; ++i) {
            b.send_bytes(b.recv_bytes());
        }
    });
    const test::SignalStorm storm;
    for (const std::size_t size :
         {std::size_t{0}, std::size_t{1}, std::size_t{5'000'000}}) {
        a.send_bytes(pattern(size));
        CHECK_FALSE((size == 0 && a.recv_bytes() != Bytes()));
        if (size != 0) {
            CHECK(a.recv_bytes() == pattern(size));
        }
    }
    other.join();
    CHECK_FALSE(a.poll(50ms));
    CHECK(storm.count() > 0);
}

TEST_CASE("_TestPoll.test_empty_string: an empty message can be seen", "[connection]") {
    auto [a, b] = mp::Pipe();
    CHECK_FALSE(a.poll());
    b.send_bytes("");
    CHECK(a.poll());
    CHECK(a.poll());
    CHECK(a.recv_bytes().empty());
}

TEST_CASE(
    "_TestPoll.test_strings: polling neither loses nor merges messages", "[connection]"
) {
    const std::vector<std::string> texts{"hello", "", "a", "b", "", "bye", "", "lop"};
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([b = b, &texts]() mutable {
        for (const std::string& text : texts) {
            b.send_bytes(text);
        }
        return 0;
    });
    for (const std::string& text : texts) {
        while (!a.poll(10ms)) {
        }
        CHECK(a.recv_bytes() == bytes_of(text));
    }
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "_TestPoll.test_boundaries: a poller in another process takes nothing",
    "[connection]"
) {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([reader = reader]() mutable {
        return reader.poll(5s) ? 0 : 1;
    });
    writer.send_bytes("first");
    CHECK(test::exit_status(child) == 0);
    writer.send_bytes("second");
    CHECK(reader.recv_bytes() == bytes_of("first"));
    CHECK(reader.recv_bytes() == bytes_of("second"));
}

TEST_CASE("_TestPoll.test_dont_merge: messages stay apart", "[connection]") {
    auto [a, b] = mp::Pipe();
    CHECK_FALSE(a.poll());
    CHECK_FALSE(a.poll(100ms));
    for (const char* text : {"a", "b", "cd"}) {
        b.send_bytes(std::string_view(text));
    }
    for (const char* text : {"a", "b", "cd"}) {
        CHECK(a.poll());
        CHECK(a.recv_bytes() == bytes_of(text));
    }
    CHECK_FALSE(a.poll());
}

TEST_CASE(
    "TestTimeouts.test_timeout: a receive timeout of the socket does not matter",
    "[connection]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    const timeval soon{.tv_sec = 0, .tv_usec = 10'000};
    REQUIRE(::setsockopt(a.get(), SOL_SOCKET, SO_RCVTIMEO, &soon, sizeof soon) == 0);
    Connection left(std::move(a));
    Connection right(std::move(b));
    auto received = std::async(std::launch::async, [&] { return left.recv_bytes(); });
    CHECK(received.wait_for(50ms) == std::future_status::timeout);
    right.send_bytes("late");
    CHECK(received.get() == bytes_of("late"));
}
