// SPDX-License-Identifier: BSL-1.0
// Arena: one segment of shared memory out of which blocks are cut. Which parts of it
// are in use is known to the process that made it, and to nobody else: a process that
// is killed leaves no half-changed lists behind.
//
// Not the arenas of a process pool (process_pool/message_arena.hpp): there a writer
// gives blocks to a reader, which gives them back, and they are recycled while their
// pages are warm. Here a block may have any number of users in other processes, of whom
// its maker knows nothing: once it has travelled it is never used for something else.
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/detail/shm.hpp"

#include "memory/process_table.hpp"

#include <cstddef>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>

namespace mp::detail {

class Arena {
public:
    /// Names an arena for good, in any process.
    struct Name {
        ProcessTable::Name family;
        std::uint64_t number = 0;

        friend bool operator==(const Name&, const Name&) = default;
    };

    /// Blocks begin at multiples of this, so no two share a cache line.
    static constexpr std::size_t granule = 64;

    /// A new one with room for at least one block of `room` bytes, for the processes of
    /// that table. Throws what Segment throws.
    Arena(std::size_t room, ProcessTable& processes);

    /// That of another process. Throws SerializationError when it is no arena.
    Arena(UniqueFd fd, ProcessTable& processes);

    /// The offset of `size` zeroed bytes, or nothing when there is no room. Only in the
    /// process that made the arena; one thread at a time, as free().
    std::optional<std::size_t> allocate(std::size_t size, std::size_t alignment);

    /// Gives a block back, to be used again. Its bytes are zeroed.
    void free(std::size_t offset, std::size_t size) noexcept;

    /// Whether a block of another process can be where this says.
    bool contains(std::size_t offset, std::size_t size) const noexcept;

    std::byte* at(std::size_t offset) const noexcept {
        return segment_.data() + offset;
    }

    const Name& name() const noexcept { return name_; }

    ProcessTable& processes() const noexcept { return *processes_; }

    int fileno() const noexcept { return segment_.fileno(); }

    /// Whether this process made it.
    bool is_own() const noexcept { return own_ && creator_.is_here(); }

private:
    struct Header;

    std::optional<std::size_t> cut(std::size_t size, std::size_t alignment);
    void wipe(std::size_t offset, std::size_t size) noexcept;

    // Set once in the constructor.
    ProcessTable* processes_;
    Segment segment_;
    Name name_;
    Creator creator_;
    bool own_;
    // Guarded by the heap's lock.
    std::map<std::size_t, std::size_t> free_;  ///< offset to size, never adjacent
};

}  // namespace mp::detail
