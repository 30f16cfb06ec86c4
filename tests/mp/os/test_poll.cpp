// SPDX-License-Identifier: BSL-1.0
// poll(): readable, writable, and not at all.
#include "os/check.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/signal_storm.hpp"

#include <fcntl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <array>
#include <chrono>

using namespace mp;
using namespace std::chrono_literals;

TEST_CASE("poll: readable means data, end of file or an error", "[poll]") {
    auto [reader, writer] = os::make_pipe();
    CHECK_FALSE(os::wait_readable(reader.get(), Deadline(0s)));
    REQUIRE(::write(writer.get(), "x", 1) == 1);
    CHECK(os::wait_readable(reader.get(), Deadline(forever)));
    char c = 0;
    REQUIRE(::read(reader.get(), &c, 1) == 1);
    CHECK_FALSE(os::wait_readable(reader.get(), Deadline(-1s)));
    writer.reset();
    CHECK(os::wait_readable(reader.get(), Deadline(forever)));
}

TEST_CASE(
    "poll: writable until the pipe is full, and when its reader is gone", "[poll]"
) {
    auto [reader, writer] = os::make_pipe();
    CHECK(os::wait_writable(writer.get(), Deadline(0s)));
    REQUIRE(::fcntl(writer.get(), F_SETFL, O_NONBLOCK) == 0);
    const std::array<char, 4096> page{};
    while (::write(writer.get(), page.data(), page.size()) > 0) {
    }
    CHECK_FALSE(os::wait_writable(writer.get(), Deadline(0s)));
    reader.reset();
    CHECK(os::wait_writable(writer.get(), Deadline(forever)));
}

TEST_CASE("poll: a descriptor that is not open is EBADF", "[poll]") {
    auto [reader, writer] = os::make_pipe();
    const int gone = reader.get();
    reader.reset();
    CHECK_THROWS_AS(os::wait_readable(gone, Deadline(forever)), std::system_error);
}

TEST_CASE("poll: several descriptors, each with its own answer", "[poll]") {
    auto [r1, w1] = os::make_pipe();
    auto [r2, w2] = os::make_pipe();
    std::array<pollfd, 2> fds{
        pollfd{.fd = r1.get(), .events = POLLIN, .revents = 0},
        pollfd{.fd = r2.get(), .events = POLLIN, .revents = 0}};
    CHECK(os::poll(fds, Deadline(0s)) == 0);
    REQUIRE(::write(w2.get(), "x", 1) == 1);
    CHECK(os::poll(fds, Deadline(forever)) == 1);
    CHECK(fds[0].revents == 0);
    CHECK(fds[1].revents == POLLIN);
    CHECK(os::poll({}, Deadline(1ms)) == 0);
}

TEST_CASE("poll: a descriptor above 1024 works", "[poll]") {
    rlimit limit{};
    REQUIRE(::getrlimit(RLIMIT_NOFILE, &limit) == 0);
    const rlimit before = limit;
    limit.rlim_cur = std::min<rlim_t>(limit.rlim_max, 4096);
    REQUIRE(::setrlimit(RLIMIT_NOFILE, &limit) == 0);
    auto [reader, writer] = os::make_pipe();
    const UniqueFd high(::fcntl(reader.get(), F_DUPFD_CLOEXEC, 3000));
    REQUIRE(high.get() >= 3000);
    CHECK_FALSE(os::wait_readable(high.get(), Deadline(0s)));
    REQUIRE(::write(writer.get(), "x", 1) == 1);
    CHECK(os::wait_readable(high.get(), Deadline(forever)));
    ::setrlimit(RLIMIT_NOFILE, &before);
}

TEST_CASE("poll: a storm of signals neither ends nor prolongs a wait", "[poll]") {
    auto [reader, writer] = os::make_pipe();
    const test::SignalStorm storm;
    const auto start = std::chrono::steady_clock::now();
    CHECK_FALSE(os::wait_readable(reader.get(), Deadline(100ms)));
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 100ms);
    CHECK(took < test::patience(1s));
    CHECK(storm.count() > 0);
}
