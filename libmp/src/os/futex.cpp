// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/futex.hpp"

#include "os/check.hpp"

#include <linux/futex.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <ctime>

namespace mp::detail {

namespace {

int operation(int base, FutexScope scope) noexcept {
    return scope == FutexScope::process ? base | FUTEX_PRIVATE_FLAG : base;
}

}  // namespace

bool futex_wait(
    const FutexWord& word,
    std::uint32_t expected,
    const Deadline& deadline,
    FutexScope scope
) noexcept {
    // WAIT_BITSET takes an absolute time of the monotonic clock; WAIT a relative one.
    std::timespec until{};
    const std::timespec* limit = nullptr;
    if (!deadline.is_forever()) {
        until = deadline.timespec();
        limit = &until;
    }
    const long result = syscall(
        SYS_futex,
        &word,
        operation(FUTEX_WAIT_BITSET, scope),
        expected,
        limit,
        nullptr,
        FUTEX_BITSET_MATCH_ANY
    );
    return result == 0 || os::last_error() != std::errc::timed_out;
}

int futex_wake(const FutexWord& word, int count, FutexScope scope) noexcept {
    const long woken = syscall(
        SYS_futex, &word, operation(FUTEX_WAKE, scope), count, nullptr, nullptr, 0
    );
    return woken < 0 ? 0 : static_cast<int>(woken);
}

}  // namespace mp::detail
