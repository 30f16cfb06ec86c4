// SPDX-License-Identifier: BSL-1.0
// Copying blocks, and how a ByteWriter grows and moves.
#include "mp/detail/bytes.hpp"

#include "mp/errors.hpp"

#include <algorithm>
#include <cstdint>
#include <limits>
#include <new>
#include <string>

namespace mp::detail {

namespace {

#if defined(__x86_64__)
// `rep movsb` is, on some processors and some pairs of addresses, up to thirty times
// slower than a plain loop, until the non-temporal path of glibc's memcpy takes over
// far above 512 KB.
constexpr std::size_t loop_up_to = 512UL * 1024;

// Four vector registers' worth; the compiler keeps it there.
struct Step {
    alignas(16) unsigned char bytes[64];
};
#endif

}  // namespace

void copy_long_block(void* to, const void* from, std::size_t size) noexcept {
#if defined(__x86_64__)
    if (size > loop_up_to) {
        std::memcpy(to, from, size);
        return;
    }
    auto* target = static_cast<std::byte*>(to);
    const auto* source = static_cast<const std::byte*>(from);
    for (; size >= sizeof(Step);
         size -= sizeof(Step), target += sizeof(Step), source += sizeof(Step)) {
        Step step;  // NOLINT(cppcoreguidelines-pro-type-member-init): filled at once
        std::memcpy(&step, source, sizeof(Step));
        std::memcpy(target, &step, sizeof(Step));
        // Else the compiler may recognise the loop and call memcpy for it.
        asm volatile("" : "+r"(target));
    }
    if (size != 0) {
        std::memcpy(target, source, size);
    }
#else
    std::memcpy(to, from, size);
#endif
}

void throw_message_ends(std::size_t wanted, std::size_t left) {
    throw SerializationError(
        SerializationPhase::decode,
        "the message ends too early: " + std::to_string(wanted) + " bytes wanted, " +
            std::to_string(left) + " left"
    );
}

void ByteWriter::put_text(std::string_view text) {
    put_value(static_cast<std::uint64_t>(text.size()));
    put(text.data(), text.size());
}

std::string ByteReader::get_text() {
    const auto bytes = view(get_value<std::uint64_t>());
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

void ByteWriter::grow(std::size_t additional) {
    const std::size_t used = size();
    constexpr auto max_size =
        static_cast<std::size_t>(std::numeric_limits<std::ptrdiff_t>::max());
    if (additional > max_size - used) {
        throw std::bad_alloc();
    }
    const auto room = static_cast<std::size_t>(end_ - begin_);
    const std::size_t doubled = room > max_size / 2 ? max_size : room * 2;
    const std::size_t wanted = std::max({used + additional, doubled, 2 * inline_size});
    if (store_ != nullptr) {
        const std::span<const std::byte> written = data();
        begin_ = inline_;  // if it throws, what was written is gone
        at_ = inline_;
        end_ = inline_ + inline_size;
        const auto memory =
            store_->grow(written, {.needed = used + additional, .wanted = wanted});
        begin_ = memory.data();
        at_ = begin_ + used;
        end_ = begin_ + memory.size();
        return;
    }
    // Uninitialised on purpose: every byte is written before it is read.
    std::unique_ptr<std::byte[]> bigger(new std::byte[wanted]);
    if (used != 0) {
        copy_block(bigger.get(), begin_, used);
    }
    heap_ = std::move(bigger);
    begin_ = heap_.get();
    at_ = begin_ + used;
    end_ = begin_ + wanted;
}

void ByteWriter::take_from(ByteWriter& other) noexcept {
    store_ = std::exchange(other.store_, nullptr);
    if (other.begin_ == other.inline_) {
        heap_.reset();
        begin_ = inline_;
        at_ = inline_ + other.size();
        end_ = inline_ + inline_size;
        lent_ = nullptr;
        std::memcpy(inline_, other.inline_, other.size());
    } else {
        heap_ = std::move(other.heap_);
        begin_ = other.begin_;
        at_ = other.at_;
        end_ = other.end_;
        lent_ = other.lent_;
    }
    other.heap_.reset();
    other.begin_ = other.inline_;
    other.at_ = other.inline_;
    other.end_ = other.inline_ + inline_size;
    other.lent_ = nullptr;
}

}  // namespace mp::detail
