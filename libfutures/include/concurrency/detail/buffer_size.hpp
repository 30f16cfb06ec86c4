// SPDX-License-Identifier: BSL-1.0
// BufferSize: how many items something may hold, or inf.
// Python:  the max_buffer_size of anyio, an int or math.inf.
// Differs: nothing.
// Threads: any; it is a value.
#pragma once

#include <concepts>
#include <cstddef>
#include <limits>

namespace concurrency {

namespace detail {

[[noreturn]] void refuse_buffer_size();

}  // namespace detail

/// A number of items that is 0 or more, or concurrency::inf. Throws ValueError for a
/// negative one, and for any other floating-point number, whole or not.
class BufferSize {
public:
    template <std::integral Number>
    // NOLINTNEXTLINE(google-explicit-constructor): a size is written as what it is
    constexpr BufferSize(Number size) : items_(static_cast<std::size_t>(size)) {
        if (size < Number{}) {
            detail::refuse_buffer_size();
        }
    }

    template <std::floating_point Number>
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    constexpr BufferSize(Number size) : items_(unlimited) {
        if (size != std::numeric_limits<Number>::infinity()) {
            detail::refuse_buffer_size();
        }
    }

    /// `unlimited` for inf.
    constexpr std::size_t items() const noexcept { return items_; }

    /// As statistics() tell it.
    constexpr double number() const noexcept {
        return items_ == unlimited ? std::numeric_limits<double>::infinity()
                                   : static_cast<double>(items_);
    }

    static constexpr std::size_t unlimited = std::numeric_limits<std::size_t>::max();

private:
    std::size_t items_;
};

}  // namespace concurrency
