// SPDX-License-Identifier: BSL-1.0
// FdList: the descriptors that travel with some bytes. In the bytes stands the place of
// each in the list, by which the other process finds it.
// Python:  none, because its resource_sharer names them by an address of its own.
// Differs: nothing to differ from.
// Threads: one at a time.  Owns: the descriptors.
#pragma once

#include "mp/fd.hpp"

#include <cstddef>
#include <cstdint>
#include <iterator>
#include <utility>
#include <vector>

namespace mp::detail {

class FdList {
public:
    FdList() = default;

    explicit FdList(std::vector<UniqueFd> fds) noexcept : fds_(std::move(fds)) {}

    /// Returns its place.
    std::uint32_t add(UniqueFd fd) {
        fds_.push_back(std::move(fd));
        return static_cast<std::uint32_t>(fds_.size() - 1);
    }

    void append(std::vector<UniqueFd> fds) {
        fds_.insert(
            fds_.end(), std::move_iterator(fds.begin()), std::move_iterator(fds.end())
        );
    }

    /// Each once: none when there is none at that place, or it was taken before.
    UniqueFd take(std::uint32_t place) noexcept {
        return place < fds_.size() ? std::move(fds_[place]) : UniqueFd();
    }

    /// How many came, taken or not.
    std::size_t size() const noexcept { return fds_.size(); }

    const std::vector<UniqueFd>& all() const noexcept { return fds_; }

    std::vector<UniqueFd> release() noexcept { return std::move(fds_); }

private:
    std::vector<UniqueFd> fds_;
};

}  // namespace mp::detail
