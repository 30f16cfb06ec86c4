// SPDX-License-Identifier: BSL-1.0
// Transfers over sockets and pipes: complete, or an error.
#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/pattern.hpp"
#include "support/signal_storm.hpp"

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <chrono>
#include <thread>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using test::pattern;

namespace {

enum class ChannelKind { pipe, socket };

// {reader, writer}
std::pair<UniqueFd, UniqueFd> make_channel(ChannelKind kind) {
    return kind == ChannelKind::pipe ? os::make_pipe()
                                     : os::make_socketpair(os::SocketKind::stream);
}

const Deadline for_ever(forever);

}  // namespace

TEST_CASE("socket: a pair is close-on-exec and works in both directions", "[socket]") {
    for (const auto kind : {os::SocketKind::stream, os::SocketKind::seqpacket}) {
        auto [a, b] = os::make_socketpair(kind);
        CHECK((::fcntl(a.get(), F_GETFD) & FD_CLOEXEC) != 0);
        CHECK((::fcntl(b.get(), F_GETFD) & FD_CLOEXEC) != 0);
        const auto data = pattern(100);
        std::vector<std::byte> got(100);
        os::send_all(a.get(), data, for_ever);
        os::receive_exactly(b.get(), got, for_ever);
        CHECK(got == data);
        os::send_all(b.get(), got, for_ever);
        os::receive_exactly(a.get(), got, for_ever);
        CHECK(got == data);
    }
}

TEST_CASE("socket: transfers larger than any buffer are complete", "[socket]") {
    const ChannelKind kind = GENERATE(ChannelKind::pipe, ChannelKind::socket);
    const bool nonblocking = GENERATE(false, true);
    const Timeout timeout = GENERATE(Timeout(forever), Timeout(60s));
    auto [reader, writer] = make_channel(kind);
    if (nonblocking) {
        REQUIRE(::fcntl(reader.get(), F_SETFL, O_NONBLOCK) == 0);
        REQUIRE(::fcntl(writer.get(), F_SETFL, O_NONBLOCK) == 0);
    }
    const auto data = pattern(3'000'001);
    std::vector<std::byte> got(data.size());
    std::thread sending([&, fd = writer.get()] {
        os::send_all(fd, data, Deadline(timeout));
    });
    os::receive_exactly(reader.get(), got, Deadline(timeout));
    sending.join();
    CHECK(got == data);
}

TEST_CASE("socket: transfers survive a storm of signals", "[socket]") {
    const ChannelKind kind = GENERATE(ChannelKind::pipe, ChannelKind::socket);
    auto [reader, writer] = make_channel(kind);
    const auto data = pattern(20'000'000);
    std::vector<std::byte> got(data.size());
    std::thread receiving([&, fd = reader.get()] {
        const test::SignalStorm storm;
        os::receive_exactly(fd, got, for_ever);
    });
    {
        const test::SignalStorm storm;
        os::send_all(writer.get(), data, for_ever);
    }
    receiving.join();
    CHECK(got == data);
}

TEST_CASE("socket: the end of the stream before and inside a message", "[socket]") {
    const ChannelKind kind = GENERATE(ChannelKind::pipe, ChannelKind::socket);
    auto [reader, writer] = make_channel(kind);
    os::send_all(writer.get(), pattern(3), for_ever);
    writer.reset();
    std::array<std::byte, 3> got{};
    os::receive_exactly(reader.get(), got, for_ever);
    CHECK_THROWS_AS(os::receive_exactly(reader.get(), got, for_ever), EOFError);

    auto [reader2, writer2] = make_channel(kind);
    os::send_all(writer2.get(), pattern(2), for_ever);
    writer2.reset();
    try {
        os::receive_exactly(reader2.get(), got, for_ever);
        FAIL("expected an error");
    } catch (const std::system_error& e) {
        CHECK(e.code().value() == ECONNRESET);
        CHECK_THAT(
            e.what(),
            test::ContainsSubstring("got end of file during message after 2 of 3 bytes")
        );
    }
}

TEST_CASE("socket: writing to a closed end is EPIPE without SIGPIPE", "[socket]") {
    const ChannelKind kind = GENERATE(ChannelKind::pipe, ChannelKind::socket);
    const Timeout timeout = GENERATE(Timeout(forever), Timeout(60s));
    auto [reader, writer] = make_channel(kind);
    reader.reset();
    try {
        os::send_all(writer.get(), pattern(10), Deadline(timeout));
        FAIL("expected an error");
    } catch (const std::system_error& e) {
        CHECK(e.code().value() == EPIPE);
    }
}

TEST_CASE(
    "socket: an end closed with unread data is a clean end for the other", "[socket]"
) {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    os::send_all(b.get(), pattern(5), for_ever);
    os::send_all(a.get(), pattern(100), for_ever);
    b.reset();  // with our 100 bytes unread: the kernel reports a reset
    std::array<std::byte, 5> got{};
    os::receive_exactly(a.get(), got, for_ever);
    CHECK_THROWS_AS(os::receive_exactly(a.get(), got, for_ever), EOFError);
}

TEST_CASE("socket: a deadline ends a transfer", "[socket]") {
    const ChannelKind kind = GENERATE(ChannelKind::pipe, ChannelKind::socket);
    const Timeout timeout = GENERATE(Timeout(0s), Timeout(20ms));
    auto [reader, writer] = make_channel(kind);
    std::array<std::byte, 3> got{};
    CHECK_THROWS_AS(
        os::receive_exactly(reader.get(), got, Deadline(timeout)), TimeoutError
    );
    // What fits goes through even when nothing may block.
    os::send_all(writer.get(), pattern(3), Deadline(0s));
    os::receive_exactly(reader.get(), got, Deadline(0s));
    CHECK(std::vector(got.begin(), got.end()) == pattern(3));
    CHECK_THROWS_AS(
        os::send_all(writer.get(), pattern(10'000'000), Deadline(timeout)), TimeoutError
    );
}

TEST_CASE("socket: errors name the call", "[socket]") {
    std::array<std::byte, 1> got{};
    CHECK_THROWS_AS(os::receive_exactly(-1, got, for_ever), std::system_error);
    CHECK_THROWS_AS(os::send_all(-1, got, for_ever), std::system_error);
    os::send_all(-1, {}, for_ever);  // nothing to do, nothing done
}
