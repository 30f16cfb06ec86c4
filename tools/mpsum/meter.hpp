// SPDX-License-Identifier: BSL-1.0
// Meter: the bytes that all workers have read so far, in shared memory, so that the
// progress bar moves while a large file is hashed.
// Threads: any.  Owns: the parent's side the segment, a worker's side its mapping.
#pragma once

#include "mp/detail/shm.hpp"

#include <cstdint>
#include <string>

namespace mpsum {

class Meter {
public:
    Meter();

    /// By which attach_meter() finds it, as long as this process lives.
    std::string path() const;

    std::uint64_t bytes() const noexcept;

private:
    mp::detail::Segment segment_;
};

/// In a worker: count_bytes() counts there from now on. A meter that cannot be opened
/// is done without: it is only for show.
void attach_meter(std::string path) noexcept;

void count_bytes(std::uint64_t bytes) noexcept;

}  // namespace mpsum
