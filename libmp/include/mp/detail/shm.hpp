// SPDX-License-Identifier: BSL-1.0
// Segment: anonymous memory that several processes map.
// Python:  multiprocessing.heap.Arena.
// Differs: made at its largest size and mapped once: its pages exist when they are
//          touched and go with punch_hole(). It has no name, so nothing is left behind
//          when its users are killed.
// Threads: any, once made.  Owns: the mapping and its descriptor.
// Throws:  std::system_error, ResourceLimitExceeded.
#pragma once

#include "mp/fd.hpp"

#include <cstddef>
#include <memory>
#include <span>

namespace mp::detail {

class Segment {
public:
    Segment() noexcept;

    /// A new segment of `size` bytes, all zero. `name` is what /proc/PID/maps shows.
    /// Throws ResourceLimitExceeded if RLIMIT_FSIZE or RLIMIT_AS is below `size`:
    /// growing a file beyond the first would kill the process with SIGXFSZ.
    Segment(const char* name, std::size_t size);

    /// A new segment of `size` bytes, or of half of that, a quarter ... down to `least`
    /// where limits or the addresses of the process leave no more. Throws as above.
    static Segment up_to(const char* name, std::size_t size, std::size_t least);

    /// Maps the segment of this descriptor, whole. What another process made.
    explicit Segment(UniqueFd fd);

    /// Maps that many bytes of it, whether they are there or not: who maps what others
    /// can truncate looks afterwards.
    Segment(UniqueFd fd, std::size_t size);

    Segment(const Segment&) = delete;
    Segment& operator=(const Segment&) = delete;
    Segment(Segment&&) noexcept;
    Segment& operator=(Segment&&) noexcept;
    ~Segment();

    std::byte* data() const noexcept;
    std::size_t size() const noexcept;

    int fileno() const noexcept { return fd_.get(); }

    /// Gives whole pages back to the system; they read as zero afterwards. A failure
    /// only costs memory.
    void punch_hole(std::size_t offset, std::size_t size) noexcept;

    /// Children forked from now on do not have it: touching it kills them instead of
    /// corrupting what is in it.
    void dont_fork() const noexcept;

private:
    struct Mapping;

    UniqueFd fd_;
    std::unique_ptr<Mapping> mapping_;
};

/// Throws ResourceLimitExceeded if RLIMIT_FSIZE is below `size`: growing a file beyond
/// it would kill the process with SIGXFSZ.
void check_file_size_limit(std::size_t size);

/// How much memory this process can still get: what the system has available or, where
/// it promises no more than it has, may still promise, and what its control groups
/// leave. A guess, for refusing what cannot work.
std::size_t available_memory();

/// Throws ResourceLimitExceeded, naming both sizes, if `size` bytes are more than
/// available_memory(). For reservations large enough to afford the look.
void check_available_memory(std::size_t size, const char* what);

}  // namespace mp::detail
