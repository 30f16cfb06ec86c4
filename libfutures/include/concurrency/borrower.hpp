// SPDX-License-Identifier: BSL-1.0
// Borrower: who has a token of a CapacityLimiter.
// Python:  the `borrower` of anyio.CapacityLimiter, which is any object.
// Differs: an object is known by its address, as a task is by its number; a number of
//          the program's own does, too.
// Threads: any; it is a value.
#pragma once

#include "concurrency/current_task.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <optional>

namespace concurrency {

/// A task, an object, or a number, which are never the same.
class Borrower {
public:
    /// Whatever lies there. The address may be used for another object when this one
    /// has returned its token.
    // A borrower is written as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor)
    Borrower(const void* object) noexcept
        : value_(reinterpret_cast<std::uintptr_t>(object)), kind_(Kind::object) {}

    /// A number that the program gives to what it means.
    template <std::integral Number>
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    Borrower(Number number) noexcept
        : value_(static_cast<std::uint64_t>(number)), kind_(Kind::number) {}

    /// A task: Borrower(current_task()) is the one that runs here.
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    Borrower(const TaskInfo& task) noexcept : value_(task.id()), kind_(Kind::task) {}

    /// The id of the task that it is; none for an object or a number.
    std::optional<std::uint64_t> task_id() const noexcept {
        return kind_ == Kind::task ? std::optional(value_) : std::nullopt;
    }

    /// The same task, object or number.
    friend bool operator==(const Borrower&, const Borrower&) noexcept = default;

    // -- For the library.

    /// Nobody.
    Borrower() noexcept = default;

    /// The task of this number.
    static Borrower task(std::uint64_t id) noexcept {
        Borrower borrower;
        borrower.value_ = id;
        borrower.kind_ = Kind::task;
        return borrower;
    }

    /// Whether it stands for no borrower.
    bool is_nobody() const noexcept { return kind_ == Kind::nobody; }

    /// For hash tables.
    std::size_t hash() const noexcept {
        // Fibonacci hashing: ids and addresses differ in few bits.
        const std::uint64_t mixed =
            (value_ ^ (static_cast<std::uint64_t>(kind_) << 61U)) *
            0x9E37'79B9'7F4A'7C15U;
        return static_cast<std::size_t>(mixed >> 32U);
    }

private:
    enum class Kind : unsigned char { nobody, task, object, number };

    std::uint64_t value_ = 0;
    Kind kind_ = Kind::nobody;
};

}  // namespace concurrency
