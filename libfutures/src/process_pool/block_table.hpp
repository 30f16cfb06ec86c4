// SPDX-License-Identifier: BSL-1.0
// BlockTable: which parts of an arena are in use.
// Threads: none of its own; one at a time.
#pragma once

#include "mp/detail/shm.hpp"

#include "process_pool/board_layout.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace futures::detail {

/// Which parts of an arena are in use. Private to the writer: a process that is killed
/// takes this along, and the arena is left to what its readers still hold. Nothing that
/// stands in the arena itself is believed.
class BlockTable {
public:
    /// What stands before each block. The user's part begins 64-byte aligned.
    struct alignas(cache_line) BlockHeader {
        std::atomic<std::uint64_t> next_returned;  ///< offset + 1 of a block; 0: none
        std::atomic<std::uint32_t> record;         ///< where to look first; see find()
    };

    /// A block of this size or more begins at a page, and can give its pages back.
    static bool is_large(std::uint64_t size) noexcept;

    explicit BlockTable(mp::detail::Segment& segment) noexcept;

    /// The offset of the user's part; nothing when there is no room now. Throws
    /// ResourceLimitExceeded when there is no memory, or never room for so much.
    std::optional<std::uint64_t> allocate(std::uint64_t size);

    /// Does nothing if no block in use begins there.
    void release(std::uint64_t offset) noexcept;

    /// Gives free memory back to the system, all but the first `kept` bytes.
    void trim(std::uint64_t kept) noexcept;

    /// Requires: room for a header before it.
    BlockHeader& header_of(std::uint64_t offset) const noexcept;

    /// What the block there takes; 0 if no block in use begins there.
    std::uint64_t whole_size(std::uint64_t offset) const noexcept;

    /// The same, if it was given away; then it is ours again.
    std::uint64_t take_back(std::uint64_t offset) noexcept;

    /// The block there is for a reader, who will return it. What it takes.
    std::uint64_t give_away(std::uint64_t offset) noexcept;

    /// A longer one is refused.
    std::size_t longest_message() const noexcept { return longest_in(segment_.size()); }

    static constexpr std::size_t longest_in(std::size_t arena) noexcept {
        return arena / 2;
    }

    std::uint64_t bytes_in_use() const noexcept { return in_use_; }

private:
    /// A block in use.
    struct Record {
        std::uint64_t offset;  ///< 0: unused
        std::uint32_t size_class;
        bool given_away;
    };

    struct FreeBlock {
        std::uint64_t offset;
        bool warm;  ///< its pages were not given back
    };

    struct Extent {
        std::uint64_t begin;
        std::uint64_t end;
    };

    std::size_t find(std::uint64_t offset) const noexcept;
    void reserve_record();
    void record(std::uint64_t offset, std::uint32_t size_class) noexcept;
    std::optional<std::uint64_t> place_for(std::uint64_t whole);
    std::optional<std::uint64_t> fresh_block(std::uint64_t whole);
    std::optional<std::uint64_t> block_in_a_hole(std::uint64_t whole);
    void merge();

    mp::detail::Segment& segment_;
    std::uint64_t fresh_;    ///< nothing from here on is in use, or in a list
    std::uint64_t touched_;  ///< nothing from here on was used since the last trim
    std::uint64_t warm_ = 0;
    std::uint64_t in_use_ = 0;
    std::vector<Record> records_;
    std::vector<std::uint32_t> unused_;  ///< of the records; has room for all of them
    std::vector<std::vector<FreeBlock>> free_;  ///< by size class, the latest last
    std::vector<Extent> holes_;  ///< what merge() made of free blocks, by address
    std::vector<Extent> gaps_;   ///< too small for a block, until the next merge()
};

}  // namespace futures::detail
