// SPDX-License-Identifier: BSL-1.0
// After: futures that a task waits for before it begins, of any types.
// Python:  none; depends_on of other libraries.
// Differs: nothing to differ from.
// Threads: as a std::vector.
// Owns:    handles of the futures, until the task was submitted.
#pragma once

#include "futures/detail/state.hpp"
#include "futures/detail/state_ptr.hpp"
#include "futures/future.hpp"

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <utility>
#include <vector>

namespace futures {

/// `{f, g}` in braces, or a range of futures: `.after = fs`.
class After {
public:
    /// One future, of any type.
    class Item {
    public:
        /// Throws std::invalid_argument for a handle that was moved from.
        template <class T>
        Item(const Future<T>& future)  // NOLINT(google-explicit-constructor): it is one
            : state_(counted(future.id() != nullptr ? &future.base() : nullptr)) {}

    private:
        friend class After;

        static detail::StatePtr<detail::StateBase> counted(detail::StateBase* state);

        detail::StatePtr<detail::StateBase> state_;
    };

    /// Nothing: the task may begin at once.
    After() = default;

    After(std::initializer_list<Item> futures) {
        states_.reserve(futures.size());
        for (const Item& item : futures) {
            states_.push_back(item.state_);
        }
    }

    /// The futures of a range.
    template <class Range>
        requires requires(const Range& range) {
            Item(*std::begin(range));
        }
    After(const Range& futures) {  // NOLINT(google-explicit-constructor): it is those
        if constexpr (requires { futures.size(); }) {
            states_.reserve(futures.size());
        }
        for (const auto& future : futures) {
            Item item(future);
            states_.push_back(std::move(item.state_));
        }
    }

    /// How many they are.
    std::size_t size() const noexcept { return states_.size(); }

    /// Whether there are none.
    bool empty() const noexcept { return states_.empty(); }

    /// For executors: one of them.
    detail::StateBase& operator[](std::size_t i) const noexcept { return *states_[i]; }

private:
    std::vector<detail::StatePtr<detail::StateBase>> states_;
};

}  // namespace futures
