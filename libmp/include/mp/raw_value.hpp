// SPDX-License-Identifier: BSL-1.0
// RawValue and RawArray: values in memory that several processes see, without a lock.
// Python:  multiprocessing.RawValue, multiprocessing.RawArray, sharedctypes.copy.
// Differs: types instead of type codes; what is in the memory is a T, so references to
//          it work. Elements are checked against the size, negative ones count from the
//          end, as in Python.
// Threads: any for the handle. The memory is the program's to protect: by a lock, or as
//          RawValue<std::atomic<int>>.
// Processes: passed to a child that is being started, or forked with, it is the same
//          memory. Serialised any other way it throws StateError.
// Owns:    its part of a mapping, which goes with the last handle.
// Throws:  std::out_of_range, std::invalid_argument for a negative size,
//          ResourceLimitExceeded when there is not enough memory.
#pragma once

#include "mp/detail/decoding.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/shared_type.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <new>
#include <span>
#include <type_traits>
#include <utility>

namespace mp {

namespace detail {

/// The position in an array of `size`; a negative index counts from the end.
std::size_t checked_index(std::int64_t index, std::size_t size);
std::size_t checked_index(std::uint64_t index, std::size_t size);

/// Throws std::invalid_argument for a negative one.
std::size_t checked_count(std::int64_t count);

SharedBlock value_block(std::size_t size, std::size_t alignment);

/// Memory for `count` elements; throws ResourceLimitExceeded when that is no number.
SharedBlock array_block(std::size_t count, std::size_t size, std::size_t alignment);

/// For what came from another process: throws SerializationError when the elements
/// are not all in the block.
void check_array(const SharedBlock& block, std::uint64_t count, std::size_t size);

template <class Int>
auto widened(Int number) {
    if constexpr (std::signed_integral<Int>) {
        return static_cast<std::int64_t>(number);
    } else {
        return static_cast<std::uint64_t>(number);
    }
}

/// T(args...), or T{args...} for a struct.
template <class T, class... Args>
concept ValueFrom = std::constructible_from<T, Args...> ||
    (std::is_aggregate_v<T>&& requires { T{std::declval<Args>()...}; });

template <class Range, class T>
concept RangeOf = requires(const Range& range) {
    { std::size(range) } -> std::convertible_to<std::size_t>;
    { *std::begin(range) } -> std::convertible_to<T>;
};

}  // namespace detail

/// A T in shared memory, without a lock.
template <class T>
class RawValue {
    static_assert(
        SharedType<T>,
        "a value in shared memory must mean the same in every process: a trivially "
        "copyable type without pointers, or a lock-free std::atomic"
    );

public:
    using value_type = T;

    /// T{}.
    RawValue() : block_(detail::value_block(sizeof(T), alignof(T))) {
        new (block_.data()) T{};
    }

    /// T{args...}.
    template <class First, class... Args>
        requires detail::ValueFrom<T, First, Args...>
    explicit RawValue(First&& first, Args&&... args)
        : block_(detail::value_block(sizeof(T), alignof(T))) {
        if constexpr (std::constructible_from<T, First, Args...>) {
            new (block_.data())
                T(std::forward<First>(first), std::forward<Args>(args)...);
        } else {
            new (block_.data())
                T{std::forward<First>(first), std::forward<Args>(args)...};
        }
    }

    explicit RawValue(detail::Decoding) noexcept {}

    /// A copy of it.
    T get() const requires std::copyable<T> { return **this; }

    /// Overwrites it; other processes may see half of that.
    void set(const T& value) requires std::copyable<T> { **this = value; }

    /// The value itself, in shared memory.
    T& operator*() const { return block_.template checked<T>("a RawValue"); }

    T* operator->() const { return &**this; }

    /// The same memory?
    friend bool operator==(const RawValue&, const RawValue&) noexcept = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "a RawValue");
        if constexpr (!Archive::is_saving::value) {
            detail::check_array(block_, 1, sizeof(T));
        }
    }

private:
    detail::SharedBlock block_;
};

/// Elements of type T in shared memory, without a lock.
template <class T>
class RawArray {
    static_assert(
        SharedType<T>,
        "the elements of an array in shared memory must mean the same in every "
        "process: "
        "a trivially copyable type without pointers, or a lock-free std::atomic"
    );

public:
    using value_type = T;
    using iterator = T*;

    /// `count` elements, all T{}.
    template <std::integral Int>
    explicit RawArray(Int count)
        : RawArray(Count{
              std::signed_integral<Int>
                  ? detail::checked_count(static_cast<std::int64_t>(count))
                  : static_cast<std::size_t>(count)}) {
        // The memory is zero; most types need no more.
        if constexpr (!std::is_arithmetic_v<T>) {
            for (T& element : *this) {
                new (&element) T{};
            }
        }
    }

    RawArray(std::initializer_list<T> values) : RawArray(Count{values.size()}) {
        fill_from(values);
    }

    template <detail::RangeOf<T> Range>
    explicit RawArray(const Range& values) : RawArray(Count{std::size(values)}) {
        fill_from(values);
    }

    explicit RawArray(detail::Decoding) noexcept {}

    std::size_t size() const noexcept { return size_; }

    T* data() const noexcept { return reinterpret_cast<T*>(block_.data()); }

    /// The elements themselves, in shared memory.
    std::span<T> span() const noexcept { return {data(), size_}; }

    T* begin() const noexcept { return data(); }

    T* end() const noexcept { return data() + size_; }

    /// Throws std::out_of_range; -1 is the last element.
    template <std::integral Index>
    T& operator[](Index index) const {
        return data()[detail::checked_index(detail::widened(index), size_)];
    }

    friend bool operator==(const RawArray&, const RawArray&) noexcept = default;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        block_.travel(archive, "a RawArray");
        std::uint64_t count = size_;
        archive& count;
        if constexpr (!Archive::is_saving::value) {
            detail::check_array(block_, count, sizeof(T));
            size_ = static_cast<std::size_t>(count);
        }
    }

private:
    struct Count {
        std::size_t value;
    };

    explicit RawArray(Count count)
        : block_(detail::array_block(count.value, sizeof(T), alignof(T))),
          size_(count.value) {}

    template <class Range>
    void fill_from(const Range& values) {
        T* element = data();
        for (const auto& value : values) {
            new (element++) T(static_cast<T>(value));
        }
    }

    detail::SharedBlock block_;
    std::size_t size_ = 0;
};

namespace sharedctypes {

/// A new value of the same content, in memory of its own.
template <class T>
RawValue<T> copy(const RawValue<T>& value) {
    return RawValue<T>(*value);
}

template <class T>
RawArray<T> copy(const RawArray<T>& array) {
    return RawArray<T>(array.span());
}

}  // namespace sharedctypes

}  // namespace mp
