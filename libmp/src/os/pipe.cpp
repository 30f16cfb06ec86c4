// SPDX-License-Identifier: BSL-1.0
#include "os/pipe.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/uio.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <ctime>

namespace mp::os {

namespace {

// RWF_NOSIGNAL of Linux 6.18; the headers of most machines do not have it yet.
constexpr int no_signal = 0x00000100;

std::atomic<bool> kernel_can_be_quiet = true;

}  // namespace

std::pair<UniqueFd, UniqueFd> make_pipe() {
    return new_fd_pair("pipe2", [](int* ends) { return ::pipe2(ends, O_CLOEXEC); });
}

ssize_t write_with_sigpipe_blocked(int fd, std::span<const iovec> pieces) noexcept {
    sigset_t sigpipe;
    sigset_t before;
    sigset_t pending;
    ::sigemptyset(&sigpipe);
    ::sigaddset(&sigpipe, SIGPIPE);
    ::pthread_sigmask(SIG_BLOCK, &sigpipe, &before);
    // A SIGPIPE that was pending before is somebody else's: it must stay.
    ::sigpending(&pending);
    const bool was_pending = ::sigismember(&pending, SIGPIPE) == 1;
    const ssize_t written =
        ::writev(fd, pieces.data(), static_cast<int>(pieces.size()));
    const std::error_code error = written < 0 ? last_error() : std::error_code();
    if (error.value() == EPIPE && !was_pending) {
        const std::timespec now{};
        restarting([&] { return ::sigtimedwait(&sigpipe, nullptr, &now); });
    }
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    if (written < 0) {
        set_last_error(error.value());
    }
    return written;
}

bool kernel_writes_quietly() noexcept {
    // order: relaxed, as below.
    return kernel_can_be_quiet.load(std::memory_order_relaxed);
}

ssize_t write_quietly(int fd, std::span<const iovec> pieces) noexcept {
    // order: relaxed, pairs with nothing: a stale value costs one refused call.
    if (kernel_can_be_quiet.load(std::memory_order_relaxed)) {
        const ssize_t written = ::pwritev2(
            fd, pieces.data(), static_cast<int>(pieces.size()), -1, no_signal
        );
        if (written >= 0 ||
            (last_error().value() != EOPNOTSUPP && last_error().value() != ENOSYS)) {
            return written;
        }
        // order: relaxed, as above.
        kernel_can_be_quiet.store(false, std::memory_order_relaxed);
    }
    return write_with_sigpipe_blocked(fd, pieces);
}

}  // namespace mp::os
