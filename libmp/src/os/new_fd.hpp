// SPDX-License-Identifier: BSL-1.0
// new_fd: where the descriptors of the library come from. The kernel gives out the
// lowest number that is free, and in a program whose standard streams are closed that
// is 0, 1 or 2: what it prints would land in our pipes and shared memory, and its
// dup2() would close them. So none of ours is one of these.
//
// While one is made /dev/null holds the places of closed streams: what another thread
// prints in this moment goes there, not into one of ours, nor does it meet SIGPIPE in
// one. A place that comes free all the same is seen in the number: that descriptor
// holds it, and another one is made. tools/checks/descriptors.py knows all the calls.
#pragma once

#include "mp/fd.hpp"

#include "os/check.hpp"

#include <array>
#include <utility>

namespace mp::os {

/// The lowest number that a descriptor of the library may have.
inline constexpr int first_own_fd = 3;

/// Descriptors that hold the places of standard streams, until a better one is made.
class PlaceHolders {
public:
    PlaceHolders() = default;
    ~PlaceHolders();
    PlaceHolders(const PlaceHolders&) = delete;
    PlaceHolders& operator=(const PlaceHolders&) = delete;

    /// Keeps `fd` if it has the number of a standard stream.
    bool keep(int fd) noexcept;

private:
    std::array<int, first_own_fd> held_{-1, -1, -1};
};

/// While it lives, and for no longer than a call that does not wait, /dev/null holds
/// the places of closed standard streams.
class ClosedStreamsHeld {
public:
    /// Looks for them, unless told not to.
    explicit ClosedStreamsHeld(bool look = true) noexcept;

    /// Whether any were found closed so far: for calls that are too frequent to look.
    static bool found() noexcept;

private:
    PlaceHolders held_;
};

/// Takes over a descriptor that can be had only once: one of a standard stream's number
/// is moved. Empty if `fd` is negative or there is no room (last_error() says it).
UniqueFd lifted(int fd) noexcept;

/// The descriptor that `make()` returns; empty if that fails, and last_error() says it.
/// A call that a signal interrupts is repeated. Allocates nothing.
template <class Make>
UniqueFd try_new_fd(Make make) noexcept {
    const ClosedStreamsHeld held;
    PlaceHolders low;
    for (int tries = 0; tries < first_own_fd; ++tries) {
        const auto fd = static_cast<int>(restarting(make));
        if (!low.keep(fd)) {
            return UniqueFd(fd);
        }
    }
    return lifted(static_cast<int>(restarting(make)));
}

/// The same; throws std::system_error about `what`.
template <class Make>
UniqueFd new_fd(const char* what, Make make) {
    UniqueFd fd = try_new_fd(make);
    check(fd.get(), what);
    return fd;
}

/// Two that `make(int* ends)` stores. Throws std::system_error about `what`.
template <class Make>
std::pair<UniqueFd, UniqueFd> new_fd_pair(const char* what, Make make) {
    const ClosedStreamsHeld held;
    PlaceHolders low;
    for (int tries = 0;; ++tries) {
        std::array<int, 2> ends{-1, -1};
        check(make(ends.data()), what);
        if (tries < first_own_fd) {
            const bool first_is_low = low.keep(ends[0]);
            const bool second_is_low = low.keep(ends[1]);
            if (first_is_low || second_is_low) {
                // The other one goes at once.
                const UniqueFd first(first_is_low ? -1 : ends[0]);
                const UniqueFd second(second_is_low ? -1 : ends[1]);
                continue;
            }
        }
        UniqueFd second(ends[1]);
        UniqueFd first = lifted(ends[0]);
        check(first.get(), what);
        second = lifted(second.release());
        check(second.get(), what);
        return {std::move(first), std::move(second)};
    }
}

}  // namespace mp::os
