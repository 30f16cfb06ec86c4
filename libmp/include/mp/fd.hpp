// SPDX-License-Identifier: BSL-1.0
// UniqueFd: a file descriptor with one owner.
// Python:  none, because Python's file objects close in their finalizer.
// Differs: nothing to differ from.
// Threads: one at a time.  Owns: the descriptor.
#pragma once

#include <utility>

namespace mp {

class UniqueFd {
public:
    UniqueFd() = default;

    /// Owns it from now on.
    explicit UniqueFd(int fd) noexcept : fd_(fd) {}

    UniqueFd(const UniqueFd&) = delete;
    UniqueFd& operator=(const UniqueFd&) = delete;

    UniqueFd(UniqueFd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}

    UniqueFd& operator=(UniqueFd&& other) noexcept {
        reset(std::exchange(other.fd_, -1));
        return *this;
    }

    ~UniqueFd() { reset(); }

    /// The descriptor, -1 for none. Stays this object's.
    int get() const noexcept { return fd_; }

    explicit operator bool() const noexcept { return fd_ >= 0; }

    /// Gives it away, and owns none.
    int release() noexcept { return std::exchange(fd_, -1); }

    /// Closes what it holds and takes `fd`.
    void reset(int fd = -1) noexcept;

    /// A second descriptor of the same open file, close-on-exec.
    UniqueFd duplicate() const { return duplicate_of(fd_); }

    /// A second descriptor of the same open file as `fd`, close-on-exec.
    static UniqueFd duplicate_of(int fd);

private:
    int fd_ = -1;
};

}  // namespace mp
