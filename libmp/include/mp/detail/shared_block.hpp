// SPDX-License-Identifier: BSL-1.0
// SharedBlock: some bytes that several processes see, for locks, values and queues.
// Python:  multiprocessing.heap.BufferWrapper.
// Differs: it has no name anywhere; it is zeroed; a block that another process may have
//          seen is not used for something else later.
// Threads: a handle, one at a time; handles of one block, any.
// Processes: a forked child has it under the same handle, a started one gets it as an
//          argument; serialised for anything else it refuses.
// Owns:    its part of the mapping, which goes with the last handle.
// Throws:  ResourceLimitExceeded, std::system_error when memory cannot be had.
#pragma once

#include "mp/detail/decoding.hpp"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <utility>

namespace mp::detail {

class ProcessTable;

class SharedBlock {
public:
    /// No block.
    SharedBlock() noexcept = default;

    SharedBlock(const SharedBlock&) = default;
    SharedBlock& operator=(const SharedBlock&) = default;

    SharedBlock(SharedBlock&& other) noexcept
        : record_(std::move(other.record_)),
          data_(std::exchange(other.data_, nullptr)),
          size_(std::exchange(other.size_, 0)),
          processes_(std::exchange(other.processes_, nullptr)) {}

    SharedBlock& operator=(SharedBlock&& other) noexcept {
        record_ = std::move(other.record_);
        data_ = std::exchange(other.data_, nullptr);
        size_ = std::exchange(other.size_, 0);
        processes_ = std::exchange(other.processes_, nullptr);
        return *this;
    }

    ~SharedBlock() = default;

    /// `size` bytes, all zero. Throws std::invalid_argument when `alignment` is no
    /// power of two or greater than a page. Large blocks are sparse: memory is taken by
    /// being touched; one that cannot fit the available memory is refused.
    static SharedBlock allocate(std::size_t size, std::size_t alignment = 64);

    explicit operator bool() const noexcept { return data_ != nullptr; }

    std::byte* data() const noexcept { return data_; }

    std::size_t size() const noexcept { return size_; }

    /// The bytes as a T; no check.
    template <class T>
    T& as() const noexcept {
        return *reinterpret_cast<T*>(data_);
    }

    /// As `as`. Throws StateError, naming `what`, when there is no block: what it
    /// belonged to was moved from.
    template <class T>
    T& checked(const char* what) const {
        if (data_ == nullptr) [[unlikely]] {
            throw_none(what);
        }
        return *reinterpret_cast<T*>(data_);
    }

    /// The processes that may see this block. Requires: there is a block.
    ProcessTable& processes() const noexcept { return *processes_; }

    /// The same bytes?
    friend bool operator==(const SharedBlock& a, const SharedBlock& b) noexcept {
        return a.data_ == b.data_;
    }

    /// Saves or loads a handle of the same bytes. `what` names the object in errors:
    /// StateError when anything but a child that is being started is to get it.
    template <class Archive>
    void travel(Archive& archive, const char* what) {
        Ticket ticket;
        if constexpr (Archive::is_saving::value) {
            ticket = hand_over(what);
        }
        archive& ticket.arena_fd& ticket.table_fd;
        archive& ticket.table_made_at& ticket.table_maker& ticket.arena_number;
        archive& ticket.offset& ticket.size;
        if constexpr (!Archive::is_saving::value) {
            take_over(ticket);
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        travel(archive, "a block of shared memory");
    }

private:
    struct Record;

    /// How a block is found in a child.
    struct Ticket {
        std::uint32_t arena_fd = 0;
        std::uint32_t table_fd = 0;
        std::uint64_t table_made_at = 0;
        std::uint64_t table_maker = 0;
        std::uint64_t arena_number = 0;
        std::uint64_t offset = 0;
        std::uint64_t size = 0;
    };

    explicit SharedBlock(std::shared_ptr<Record> record) noexcept;

    [[noreturn]] static void throw_none(const char* what);
    Ticket hand_over(const char* what) const;
    void take_over(const Ticket& ticket);

    std::shared_ptr<Record> record_;
    std::byte* data_ = nullptr;
    std::size_t size_ = 0;
    ProcessTable* processes_ = nullptr;
};

}  // namespace mp::detail
