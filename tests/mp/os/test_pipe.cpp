// SPDX-License-Identifier: BSL-1.0
// Pipes, and writing without SIGPIPE.
#include "os/check.hpp"
#include "os/pipe.hpp"
#include "support/catch.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <ctime>

using namespace mp;

namespace {

const std::array<std::byte, 3> some_bytes{std::byte{1}, std::byte{2}, std::byte{3}};

const std::array<iovec, 1> some_pieces{os::as_piece(some_bytes)};

using Write = ssize_t (*)(int, std::span<const iovec>) noexcept;

const std::array<Write, 2> both_ways{os::write_quietly, os::write_with_sigpipe_blocked};

bool sigpipe_is_pending() {
    sigset_t pending;
    ::sigpending(&pending);
    return ::sigismember(&pending, SIGPIPE) == 1;
}

}  // namespace

TEST_CASE("pipe: both ends are close-on-exec and connected", "[pipe]") {
    auto [reader, writer] = os::make_pipe();
    CHECK((::fcntl(reader.get(), F_GETFD) & FD_CLOEXEC) != 0);
    CHECK((::fcntl(writer.get(), F_GETFD) & FD_CLOEXEC) != 0);
    for (const Write write : both_ways) {
        REQUIRE(write(writer.get(), some_pieces) == 3);
        std::array<std::byte, 3> got{};
        REQUIRE(::read(reader.get(), got.data(), got.size()) == 3);
        CHECK(got == some_bytes);
    }
    writer.reset();
    std::byte end{};
    CHECK(::read(reader.get(), &end, 1) == 0);
}

TEST_CASE("pipe: a write that nobody reads is EPIPE and no SIGPIPE", "[pipe]") {
    // The default action of SIGPIPE is in force: a signal would end this process.
    REQUIRE(::signal(SIGPIPE, SIG_DFL) != SIG_ERR);
    auto [reader, writer] = os::make_pipe();
    reader.reset();
    for (const Write write : both_ways) {
        CHECK(write(writer.get(), some_pieces) == -1);
        CHECK(os::last_error().value() == EPIPE);
        CHECK_FALSE(sigpipe_is_pending());
    }
}

TEST_CASE("pipe: a SIGPIPE of somebody else stays pending", "[pipe]") {
    sigset_t sigpipe;
    sigset_t before;
    ::sigemptyset(&sigpipe);
    ::sigaddset(&sigpipe, SIGPIPE);
    REQUIRE(::pthread_sigmask(SIG_BLOCK, &sigpipe, &before) == 0);
    ::raise(SIGPIPE);
    auto [reader, writer] = os::make_pipe();
    reader.reset();
    for (const Write write : both_ways) {
        CHECK(write(writer.get(), some_pieces) == -1);
        CHECK(sigpipe_is_pending());
    }
    const std::timespec now{};
    CHECK(::sigtimedwait(&sigpipe, nullptr, &now) == SIGPIPE);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
}
