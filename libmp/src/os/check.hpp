// SPDX-License-Identifier: BSL-1.0
// check: turns a failed system call into std::system_error. check.cpp is the only file
// that reads errno; others ask last_error().
#pragma once

#include <system_error>

namespace mp::os {

/// The error of the system call that failed last in this thread.
std::error_code last_error() noexcept;

/// For calls like readdir(3) that fail only by leaving an error behind.
void clear_error() noexcept;

/// For wrappers that clean up after a failed call and hand its error on.
void set_last_error(int error) noexcept;

/// True for EINTR.
bool interrupted() noexcept;

/// True for EAGAIN and EWOULDBLOCK.
bool would_block() noexcept;

/// Of a write to a socket: the process at the other end has closed it, or ended.
bool peer_is_gone(const std::system_error& error) noexcept;

[[noreturn]] void throw_last_error(const char* what);
[[noreturn]] void throw_error(int error, const char* what);

/// Returns `result`, or throws std::system_error(errno, what) when it is negative.
template <class Int>
Int check(Int result, const char* what) {
    if (result < 0) {
        throw_last_error(what);
    }
    return result;
}

/// Calls `call` again as long as a signal interrupts it; result as `check`.
template <class Call>
auto check_restarting(const char* what, Call call) {
    for (;;) {
        const auto result = call();
        if (result >= 0) {
            return result;
        }
        if (!interrupted()) {
            throw_last_error(what);
        }
    }
}

/// Like check_restarting, without throwing: the last result, negative on failure.
template <class Call>
auto restarting(Call call) noexcept {
    for (;;) {
        const auto result = call();
        if (result >= 0 || !interrupted()) {
            return result;
        }
    }
}

}  // namespace mp::os
