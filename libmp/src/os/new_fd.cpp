// SPDX-License-Identifier: BSL-1.0
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>

namespace mp::os {
namespace {

std::atomic<bool> came_low{false};

bool is_low(int fd) noexcept {
    const bool low = fd >= 0 && fd < first_own_fd;
    if (low) {
        came_low = true;
    }
    return low;
}

// Unless the program has put a stream of its own there meanwhile: ours are
// close-on-exec, and dup2() leaves one that is not.
void close_if_ours(int fd) noexcept {
    if (::fcntl(fd, F_GETFD) == FD_CLOEXEC) {
        ::close(fd);
    }
}

}  // namespace

PlaceHolders::~PlaceHolders() {
    const int error = last_error().value();
    for (const int fd : held_) {
        if (fd >= 0) {
            close_if_ours(fd);
        }
    }
    set_last_error(error);
}

bool PlaceHolders::keep(int fd) noexcept {
    if (!is_low(fd)) {
        return false;
    }
    const auto place = std::find_if(held_.begin(), held_.end(), [&](int held) {
        return held < 0 || held == fd;
    });
    *place = fd;  // there are as many as there can be different ones
    return true;
}

ClosedStreamsHeld::ClosedStreamsHeld(bool look) noexcept {
    for (int stream = 0; look && stream < first_own_fd; ++stream) {
        if (::fcntl(stream, F_GETFD) < 0) {
            const int fd = ::open("/dev/null", O_RDWR | O_CLOEXEC);
            if (fd >= 0 && !held_.keep(fd)) {
                ::close(fd);
            }
        }
    }
}

bool ClosedStreamsHeld::found() noexcept {
    return came_low;
}

UniqueFd lifted(int fd) noexcept {
    if (!is_low(fd)) {
        return UniqueFd(fd);
    }
    const int high = ::fcntl(fd, F_DUPFD_CLOEXEC, first_own_fd);
    const int error = high < 0 ? last_error().value() : 0;
    close_if_ours(fd);
    if (high < 0) {
        set_last_error(error);
    }
    return UniqueFd(high);
}

}  // namespace mp::os
