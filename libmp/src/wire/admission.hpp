// SPDX-License-Identifier: BSL-1.0
// admission: how many strangers a Listener has at a time, and which one goes when there
// are too many. A stranger is a client that has yet to prove that it holds the key.
// No input and output here.
#pragma once

#include "wire/endpoint.hpp"

#include <sys/types.h>

#include <array>
#include <compare>
#include <cstddef>
#include <cstdint>
#include <map>
#include <optional>
#include <unordered_map>
#include <vector>

namespace mp::detail {

/// Where a stranger comes from, as far as one cannot be many at will: an IPv4 address,
/// the network (/64) of an IPv6 address, a user of this machine.
class Source {
public:
    /// Of a TCP client.
    explicit Source(const Endpoint& endpoint) noexcept;
    /// Of a client at a Unix-domain socket.
    explicit Source(uid_t user) noexcept;

    friend auto operator<=>(const Source&, const Source&) = default;

private:
    std::uint8_t kind_ = 0;
    std::array<std::uint8_t, 8> bytes_{};
};

/// The strangers, by their sources. Nobody is sent away for being the oldest, which
/// everybody is in a flood: whoever comes makes room at random, among those of the
/// source that has most. So no source can keep out another, and each stranger of a
/// flooded one has the same chance to stay long enough.
class Admission {
public:
    using Tag = std::uint64_t;

    /// Requires: no stranger has this tag. Throws std::bad_alloc; then nothing
    /// happened.
    void enter(Tag stranger, const Source& source);

    /// It is no stranger any more, or gone; does nothing when it was none.
    void leave(Tag stranger) noexcept;

    bool contains(Tag stranger) const noexcept;

    std::size_t size() const noexcept { return places_.size(); }

    void clear() noexcept;

    /// One that has to go, so that there are not more than `limit`, and not more than
    /// three quarters of that from one source. `random` is any number that nobody can
    /// guess.
    std::optional<Tag>
    one_too_many(std::size_t limit, std::uint64_t random) const noexcept;

private:
    using Sources = std::map<Source, std::vector<Tag>>;

    struct Place {
        Sources::iterator source;
        std::size_t index;
    };

    Sources sources_;
    std::unordered_map<Tag, Place> places_;
};

/// How many strangers each of so many Listeners may have: together at most a quarter of
/// the descriptors that this process may open now. `newest` is a stranger's descriptor,
/// which was the lowest number that was free: they may have half of what lies above it.
std::size_t stranger_limit(std::size_t listeners, int newest) noexcept;

/// The same for a given number of descriptors.
std::size_t
stranger_limit(std::size_t listeners, int newest, std::uint64_t descriptors) noexcept;

}  // namespace mp::detail
