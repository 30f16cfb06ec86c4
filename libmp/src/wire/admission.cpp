// SPDX-License-Identifier: BSL-1.0
// The strangers' sources, and who goes.
#include "wire/admission.hpp"

#include <sys/resource.h>
#include <sys/socket.h>

#include <algorithm>
#include <cstring>
#include <netinet/in.h>

namespace mp::detail {

namespace {

enum Kind : std::uint8_t { user_kind, ipv4_kind, ipv6_kind };

// More are of no use: they only cost memory.
constexpr std::uint64_t most_strangers = 1024;
// What a Listener has open beside them: its socket, epoll, a bell, one in reserve.
constexpr std::uint64_t own_descriptors = 4;
// With many Listeners the shares would be too small to serve anybody.
constexpr std::uint64_t fewest_strangers = 8;

std::uint64_t descriptor_limit() noexcept {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) {
        return most_strangers;
    }
    return limit.rlim_cur;  // RLIM_INFINITY is the greatest number
}

std::size_t most_of_one_source(std::size_t limit) noexcept {
    return std::max<std::size_t>(limit - limit / 4, 1);
}

}  // namespace

Source::Source(const Endpoint& endpoint) noexcept {
    if (endpoint.family() == AF_INET) {
        sockaddr_in from{};
        std::memcpy(&from, &endpoint.storage, sizeof from);
        kind_ = ipv4_kind;
        std::memcpy(bytes_.data(), &from.sin_addr, sizeof from.sin_addr);
    } else if (endpoint.family() == AF_INET6) {
        sockaddr_in6 from{};
        std::memcpy(&from, &endpoint.storage, sizeof from);
        const std::uint8_t* address = from.sin6_addr.s6_addr;
        if (IN6_IS_ADDR_V4MAPPED(&from.sin6_addr)) {
            kind_ = ipv4_kind;
            std::copy_n(address + 12, 4, bytes_.begin());
        } else {
            kind_ = ipv6_kind;
            std::copy_n(address, bytes_.size(), bytes_.begin());
        }
    }
}

Source::Source(uid_t user) noexcept : kind_(user_kind) {
    static_assert(sizeof user <= sizeof bytes_);
    std::memcpy(bytes_.data(), &user, sizeof user);
}

void Admission::enter(Tag stranger, const Source& source) {
    const auto [at, is_new] = sources_.try_emplace(source);
    auto& members = at->second;
    try {
        members.push_back(stranger);
        try {
            places_.emplace(stranger, Place{at, members.size() - 1});
        } catch (...) {
            members.pop_back();
            throw;
        }
    } catch (...) {
        if (is_new) {
            sources_.erase(at);
        }
        throw;
    }
}

void Admission::leave(Tag stranger) noexcept {
    const auto found = places_.find(stranger);
    if (found == places_.end()) {
        return;
    }
    const Place place = found->second;
    auto& members = place.source->second;
    // The last one takes its place.
    members[place.index] = members.back();
    places_.find(members.back())->second.index = place.index;
    members.pop_back();
    places_.erase(found);
    if (members.empty()) {
        sources_.erase(place.source);
    }
}

bool Admission::contains(Tag stranger) const noexcept {
    return places_.find(stranger) != places_.end();
}

void Admission::clear() noexcept {
    places_.clear();
    sources_.clear();
}

std::optional<Admission::Tag>
Admission::one_too_many(std::size_t limit, std::uint64_t random) const noexcept {
    const std::size_t of_one = most_of_one_source(limit);
    if (size() <= std::min(limit, of_one)) {
        return std::nullopt;
    }
    std::size_t most = 0;
    std::size_t sources_with_most = 0;
    for (const auto& [source, members] : sources_) {
        if (members.size() > most) {
            most = members.size();
            sources_with_most = 0;
        }
        if (members.size() == most) {
            ++sources_with_most;
        }
    }
    if (size() <= limit && most <= of_one) {
        return std::nullopt;
    }
    std::uint64_t chosen = random % (most * sources_with_most);
    for (const auto& [source, members] : sources_) {
        if (members.size() == most) {
            if (chosen < most) {
                return members[chosen];
            }
            chosen -= most;
        }
    }
    return std::nullopt;  // does not happen
}

std::size_t stranger_limit(std::size_t listeners, int newest) noexcept {
    return stranger_limit(listeners, newest, descriptor_limit());
}

std::size_t
stranger_limit(std::size_t listeners, int newest, std::uint64_t descriptors) noexcept {
    const std::uint64_t quarter = descriptors / 4;
    const std::uint64_t all = quarter > own_descriptors ? quarter - own_descriptors : 1;
    const std::uint64_t share = std::clamp(
        all / std::max<std::size_t>(listeners, 1),
        std::min(all, fewest_strangers),
        most_strangers
    );
    const auto used = static_cast<std::uint64_t>(std::max(newest, 0));
    const std::uint64_t left = descriptors > used ? descriptors - used : 0;
    return static_cast<std::size_t>(
        std::max<std::uint64_t>(std::min(share, left / 2), 1)
    );
}

}  // namespace mp::detail
