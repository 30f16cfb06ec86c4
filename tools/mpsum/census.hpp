// SPDX-License-Identifier: BSL-1.0
// Census: counts what a source holds, ahead of the work, for the progress bar. It does
// so in slices while the main thread has nothing else to do: no thread, no lock.
// Threads: one.
#pragma once

#include "mp/timeout.hpp"

#include "item.hpp"

#include <cstdint>
#include <memory>

namespace mpsum {

class Census {
public:
    /// `source`: a second source over the same things; null counts nothing.
    explicit Census(std::unique_ptr<Source> source) : source_(std::move(source)) {}

    /// Counts on for about that long. True once, when everything has been counted.
    bool advance(mp::Timeout slice);

    /// True while there is something to count.
    bool unfinished() const noexcept { return source_ != nullptr; }

    std::uint64_t files() const noexcept { return files_; }

    std::uint64_t bytes() const noexcept { return bytes_; }

private:
    std::unique_ptr<Source> source_;
    std::uint64_t files_ = 0;
    std::uint64_t bytes_ = 0;
};

}  // namespace mpsum
