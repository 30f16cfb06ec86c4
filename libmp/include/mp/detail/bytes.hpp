// SPDX-License-Identifier: BSL-1.0
// ByteWriter and ByteReader: the bytes of one message, being written and being read.
// Python:  io.BytesIO, as pickle uses it.
// Differs: reading beyond the end is an error, not a short result.
// Threads: one at a time.  Owns: the writer its memory; the reader nothing.
#pragma once

#include <cstddef>
#include <cstring>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace mp::detail {

/// For blocks of the middle sizes; see copy_block().
void copy_long_block(void* to, const void* from, std::size_t size) noexcept;

/// Copies as std::memcpy does, without its worst case in the middle sizes.
inline void copy_block(void* to, const void* from, std::size_t size) noexcept {
    // glibc 2.36's memcpy turns to `rep movsb` here.
    constexpr std::size_t long_from = 2048;
    if (size < long_from) {
        std::memcpy(to, from, size);
    } else {
        copy_long_block(to, from, size);
    }
}

/// Throws SerializationError{decode}: `wanted` bytes do not exist.
[[noreturn]] void throw_message_ends(std::size_t wanted, std::size_t left);

/// Memory for messages that outgrow their writer's own buffer.
class ByteStore {
public:
    ByteStore() = default;
    ByteStore(const ByteStore&) = delete;
    ByteStore& operator=(const ByteStore&) = delete;
    virtual ~ByteStore() = default;

    struct Room {
        std::size_t needed;
        std::size_t wanted;  ///< more, so that the message need not grow often
    };

    /// As many bytes as `room` says, which begin with a copy of `written`. That may be
    /// what the last call returned, which is given up, also when this throws.
    virtual std::span<std::byte>
    grow(std::span<const std::byte> written, Room room) = 0;
};

/// A growing output. It starts in a small buffer of its own, or in one that is lent to
/// it, and moves to the heap when that is full.
class ByteWriter {
public:
    static constexpr std::size_t inline_size = 240;

    // inline_ is raw room in all constructors.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init)
    ByteWriter() noexcept
        : begin_(inline_), at_(inline_), end_(inline_ + inline_size) {}

    /// Writes into `lent` as long as the message fits there; in_lent_buffer() tells.
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): as above
    explicit ByteWriter(std::span<std::byte> lent) noexcept
        : begin_(lent.data()),
          at_(lent.data()),
          end_(lent.data() + lent.size()),
          lent_(lent.data()) {}

    /// Grows into `store`, which must outlive it; in_store() tells whether it did.
    explicit ByteWriter(ByteStore& store) noexcept : ByteWriter() { store_ = &store; }

    ByteWriter(const ByteWriter&) = delete;
    ByteWriter& operator=(const ByteWriter&) = delete;

    /// The other one is empty afterwards, and no longer writes into a lent buffer.
    ByteWriter(ByteWriter&& other) noexcept : ByteWriter() { take_from(other); }

    ByteWriter& operator=(ByteWriter&& other) noexcept {
        if (this != &other) {
            take_from(other);
        }
        return *this;
    }

    ~ByteWriter() = default;

    void put(const void* from, std::size_t size) {
        if (size != 0) {
            std::memcpy(extend(size), from, size);
        }
    }

    /// put() for big blocks.
    void bulk(const void* from, std::size_t size) {
        if (size != 0) {
            copy_block(extend(size), from, size);
        }
    }

    /// The bytes of `value`, as this machine keeps them.
    template <class T>
    void put_value(const T& value) {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(extend(sizeof(T)), &value, sizeof(T));
    }

    /// The length of `text` and its bytes; ByteReader::get_text() is the way back.
    void put_text(std::string_view text);

    /// Room for `size` bytes at the end, to be filled by the caller before the next
    /// call. std::bad_alloc leaves the writer as it was.
    std::byte* extend(std::size_t size) {
        if (left() < size) [[unlikely]] {
            grow(size);
        }
        return std::exchange(at_, at_ + size);
    }

    /// Overwrites what stands at `offset`, for lengths that are known last.
    template <class T>
    void patch_value(std::size_t offset, const T& value) noexcept {
        static_assert(std::is_trivially_copyable_v<T>);
        std::memcpy(begin_ + offset, &value, sizeof(T));
    }

    void reserve(std::size_t additional) {
        if (left() < additional) {
            grow(additional);
        }
    }

    /// What was written; valid until the next change.
    std::span<const std::byte> data() const noexcept { return {begin_, at_}; }

    std::size_t size() const noexcept { return static_cast<std::size_t>(at_ - begin_); }

    bool empty() const noexcept { return at_ == begin_; }

    /// Forgets what was written and keeps the memory.
    void clear() noexcept { at_ = begin_; }

    /// Forgets what was written after the first `size` bytes.
    void truncate(std::size_t size) noexcept {
        if (size < this->size()) {
            at_ = begin_ + size;
        }
    }

    /// Forgets what was written, and the memory that it grew into.
    void reset() noexcept {
        heap_.reset();
        begin_ = inline_;
        at_ = inline_;
        end_ = inline_ + inline_size;
        lent_ = nullptr;
    }

    /// True if the message stands in the ByteStore given to the constructor.
    bool in_store() const noexcept {
        return store_ != nullptr && begin_ != inline_ && begin_ != lent_;
    }

    /// True if the message stands in the buffer given to the constructor.
    bool in_lent_buffer() const noexcept { return lent_ != nullptr && begin_ == lent_; }

private:
    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    void grow(std::size_t additional);
    void take_from(ByteWriter& other) noexcept;

    std::byte* begin_;
    std::byte* at_;
    std::byte* end_;
    std::byte* lent_ = nullptr;
    ByteStore* store_ = nullptr;
    std::unique_ptr<std::byte[]> heap_;
    std::byte inline_[inline_size];
};

/// Reads a message from its start. The bytes must outlive it.
class ByteReader {
public:
    explicit ByteReader(std::span<const std::byte> bytes) noexcept
        : at_(bytes.data()), end_(bytes.data() + bytes.size()) {}

    /// Throws SerializationError{decode} if fewer than `size` bytes are left; then
    /// nothing is consumed.
    void get(void* to, std::size_t size) {
        const auto from = view(size);
        if (size != 0) {
            std::memcpy(to, from.data(), size);
        }
    }

    /// get() for big blocks.
    void bulk(void* to, std::size_t size) {
        const auto from = view(size);
        if (size != 0) {
            copy_block(to, from.data(), size);
        }
    }

    /// A T from its bytes. Not for types with forbidden values (bool): nothing is
    /// checked.
    template <class T>
    T get_value() {
        static_assert(std::is_trivially_copyable_v<T>);
        T value;
        std::memcpy(&value, view(sizeof(T)).data(), sizeof(T));
        return value;
    }

    /// What put_text() wrote. Throws as get().
    std::string get_text();

    /// The next `size` bytes, where they stand. Throws as get().
    std::span<const std::byte> view(std::size_t size) {
        if (left() < size) [[unlikely]] {
            throw_message_ends(size, left());
        }
        return {std::exchange(at_, at_ + size), size};
    }

    std::size_t left() const noexcept { return static_cast<std::size_t>(end_ - at_); }

    /// What has not been read yet.
    std::span<const std::byte> rest() const noexcept { return {at_, end_}; }

private:
    const std::byte* at_;
    const std::byte* end_;
};

}  // namespace mp::detail
