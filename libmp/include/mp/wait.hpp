// SPDX-License-Identifier: BSL-1.0
// connection::wait: blocks until one of many things is ready.
// Python:  multiprocessing.connection.wait.
// Differs: returns the positions of the ready ones, in order.
// Threads: any.
// Throws:  std::system_error(EBADF) for something that is closed.
#pragma once

#include "mp/timeout.hpp"

#include <concepts>
#include <cstddef>
#include <initializer_list>
#include <span>
#include <type_traits>
#include <vector>

namespace mp::connection {

/// What wait() watches: a descriptor, or anything with a fileno() (Connection,
/// Listener) or a sentinel() (Process).
class Waitable {
public:
    // NOLINTBEGIN(google-explicit-constructor): things are listed as what they are
    /// A descriptor.
    Waitable(int fd) noexcept : fd_(fd) {}

    template <class T>
        requires requires(const T& thing) {
            { thing.fileno() } -> std::same_as<int>;
        }
    /// A Connection, a Listener, a queue: what has a fileno().
    Waitable(const T& thing) : fd_(thing.fileno()) {}

    template <class T>
        requires requires(const T& thing) {
            { thing.sentinel() } -> std::same_as<int>;
        }
    /// A process: what has a sentinel().
    Waitable(const T& thing) : fd_(thing.sentinel()) {}

    // NOLINTEND(google-explicit-constructor)

    /// The descriptor that is waited for.
    int fd() const noexcept { return fd_; }

private:
    int fd_;
};

/// The positions of those that are ready: there is data, the stream has ended, or the
/// process has. Blocks until there is one or the timeout has passed; then the result is
/// empty. With nothing to watch it waits for the timeout.
std::vector<std::size_t>
wait(std::span<const Waitable> things, Timeout timeout = forever);

inline std::vector<std::size_t>
wait(std::initializer_list<Waitable> things, Timeout timeout = forever) {
    return wait(std::span<const Waitable>(things.begin(), things.size()), timeout);
}

/// The same for any range of things to watch.
template <class Range>
    requires(!std::convertible_to<const Range&, std::span<const Waitable>>)
&&requires(const Range& range) {
    { *range.begin() } -> std::convertible_to<Waitable>;
    range.end();
}
std::vector<std::size_t> wait(const Range& things, Timeout timeout = forever) {
    std::vector<Waitable> all;
    for (const auto& thing : things) {
        all.push_back(thing);
    }
    return wait(std::span<const Waitable>(all), timeout);
}

}  // namespace mp::connection
