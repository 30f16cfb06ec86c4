// SPDX-License-Identifier: BSL-1.0
// gather: several coroutines at once, and the results of all.
// Python:  lionpride.libs.concurrency.gather; asyncio.gather is like it.
// Differs: a vector of one type, or arguments of any types, which give a tuple;
//          return_exceptions is a tag in front.
// Threads: a task of a loop.
// Throws:  ExceptionGroup with what failed; Cancelled, for a cancellation from outside.
// Read next: concurrency/detail/pattern_task.hpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/group_state.hpp"
#include "concurrency/detail/pattern_task.hpp"
#include "concurrency/outcome.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {

/// Puts outcomes into their places. An error that is no result ends the group, which
/// throws it; but a coroutine that ended with Cancelled by itself leaves no outcome,
/// and the group's own scope absorbs that.
class Keeping {
public:
    explicit Keeping(bool errors_too) noexcept : errors_too_(errors_too) {}

    template <class T>
    std::exception_ptr
    operator()(std::optional<Outcome<T>>& place, Outcome<T> outcome) noexcept {
        std::exception_ptr error = keep(place, std::move(outcome), errors_too_);
        if (error && !first_) {
            first_ = error;
        }
        return error;
    }

    /// When the group has ended and has thrown nothing: there is an outcome in each
    /// place, or this throws the Cancelled in the place of the first that is missing.
    void check() {
        if (first_) {
            std::rethrow_exception(std::exchange(first_, nullptr));
        }
    }

private:
    const bool errors_too_;
    std::exception_ptr first_;
};

/// Several coroutines of one type, and the places for what comes out of them.
template <class T>
class Gathered {
public:
    static constexpr const char* pattern = "gather";

    Gathered(std::vector<Task<T>> tasks, bool errors_too)
        : tasks_(std::move(tasks)), outcomes_(tasks_.size()), keeping_(errors_too) {}

    void start_in(GroupBlock& block) {
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            block.state()->start(
                std::make_unique<PatternTask<T, Gathered>>(*block.state(), *this, i), {}
            );
        }
    }

    Task<T> open(std::size_t index) noexcept { return std::move(tasks_[index]); }

    std::exception_ptr close(std::size_t index, Outcome<T> outcome) noexcept {
        return keeping_(outcomes_[index], std::move(outcome));
    }

    void check() { keeping_.check(); }

    std::vector<std::optional<Outcome<T>>>& outcomes() noexcept { return outcomes_; }

private:
    std::vector<Task<T>> tasks_;
    std::vector<std::optional<Outcome<T>>> outcomes_;
    Keeping keeping_;
};

/// One coroutine of several types.
template <class T>
class GatheredOne {
public:
    static constexpr const char* pattern = "gather";

    GatheredOne(Task<T> task, bool errors_too)
        : task_(std::move(task)), keeping_(errors_too) {}

    void start_in(GroupBlock& block, std::size_t index) {
        block.state()->start(
            std::make_unique<PatternTask<T, GatheredOne>>(*block.state(), *this, index),
            {}
        );
    }

    Task<T> open(std::size_t) noexcept { return std::move(task_); }

    std::exception_ptr close(std::size_t, Outcome<T> outcome) noexcept {
        return keeping_(outcome_, std::move(outcome));
    }

    void check() { keeping_.check(); }

    Outcome<T>& outcome() noexcept { return *outcome_; }

private:
    Task<T> task_;
    std::optional<Outcome<T>> outcome_;
    Keeping keeping_;
};

/// What of the outcomes a caller gets who wants errors to be thrown.
template <class T>
std::vector<Value<T>> values_of(std::vector<std::optional<Outcome<T>>>& outcomes) {
    std::vector<Value<T>> values;
    values.reserve(outcomes.size());
    for (std::optional<Outcome<T>>& outcome : outcomes) {
        values.push_back(std::move(*std::get_if<0>(&*outcome)));
    }
    return values;
}

template <class T>
std::vector<Outcome<T>> all_of(std::vector<std::optional<Outcome<T>>>& outcomes) {
    std::vector<Outcome<T>> all;
    all.reserve(outcomes.size());
    for (std::optional<Outcome<T>>& outcome : outcomes) {
        all.push_back(std::move(*outcome));
    }
    return all;
}

template <class... Ts>
using OutcomesOf = std::conditional_t<
    sizeof...(Ts) == 0 ||
        (std::is_same_v<Ts, std::tuple_element_t<0, std::tuple<Ts..., void>>> && ...),
    std::vector<Outcome<std::tuple_element_t<0, std::tuple<Ts..., void>>>>,
    std::tuple<Outcome<Ts>...>>;

/// A vector of what is moved out of each argument.
template <class T, class... Rest>
std::vector<Outcome<T>> outcomes_of(Outcome<T>& first, Rest&... rest) {
    std::vector<Outcome<T>> outcomes;
    outcomes.reserve(1 + sizeof...(rest));
    outcomes.push_back(std::move(first));
    (outcomes.push_back(std::move(rest)), ...);
    return outcomes;
}

}  // namespace detail

/// Awaits all of these at once, each in a task of its own, and gives what they return,
/// in their order; nothing, if they are Task<void>. When one fails, the others are
/// cancelled; their errors come out as an ExceptionGroup. For an empty vector it does
/// not suspend.
template <class T>
Task<std::conditional_t<std::is_void_v<T>, void, std::vector<detail::Value<T>>>>
gather(std::vector<Task<T>> tasks) {
    detail::Gathered<T> gathered(std::move(tasks), false);
    if (!gathered.outcomes().empty()) {
        detail::GroupBlock block(detail::this_task());
        gathered.start_in(block);
        while (block.has_tasks()) {
            detail::GroupBlock::Rest rest(block, "gather");
            co_await rest;
        }
        block.leave();
        gathered.check();
    }
    if constexpr (!std::is_void_v<T>) {
        co_return detail::values_of(gathered.outcomes());
    }
}

/// The same with an Outcome of each: an error ends nothing, and is a result. A
/// cancellation never is: it ends all of them, and goes on.
template <class T>
Task<std::vector<Outcome<T>>> gather(ReturnExceptions, std::vector<Task<T>> tasks) {
    detail::Gathered<T> gathered(std::move(tasks), true);
    if (!gathered.outcomes().empty()) {
        detail::GroupBlock block(detail::this_task());
        gathered.start_in(block);
        while (block.has_tasks()) {
            detail::GroupBlock::Rest rest(block, "gather");
            co_await rest;
        }
        block.leave();
        gathered.check();
    }
    co_return detail::all_of(gathered.outcomes());
}

namespace detail {

// Starts and awaits the members of a tuple of GatheredOne.
template <class... Ts>
Task<> gather_members(std::tuple<GatheredOne<Ts>...>& members) {
    GroupBlock block(this_task());
    std::size_t index = 0;
    std::apply(
        [&](GatheredOne<Ts>&... member) { (member.start_in(block, index++), ...); },
        members
    );
    while (block.has_tasks()) {
        GroupBlock::Rest rest(block, "gather");
        co_await rest;
    }
    block.leave();
    std::apply([](GatheredOne<Ts>&... member) { (member.check(), ...); }, members);
}

}  // namespace detail

/// The same for coroutines of any types: gives a tuple, with std::monostate for those
/// that return nothing.
template <class... Ts>
Task<std::tuple<detail::Value<Ts>...>> gather(Task<Ts>... tasks) {
    std::tuple<detail::GatheredOne<Ts>...> members(
        detail::GatheredOne<Ts>(std::move(tasks), false)...
    );
    if constexpr (sizeof...(Ts) != 0) {
        co_await detail::gather_members(members);
    }
    co_return std::apply(
        [](detail::GatheredOne<Ts>&... member) {
            return std::tuple<detail::Value<Ts>...>(
                std::move(*std::get_if<0>(&member.outcome()))...
            );
        },
        members
    );
}

/// The same with an Outcome of each: a vector if all return the same type, a tuple if
/// they do not.
template <class... Ts>
Task<detail::OutcomesOf<Ts...>> gather(ReturnExceptions, Task<Ts>... tasks) {
    std::tuple<detail::GatheredOne<Ts>...> members(
        detail::GatheredOne<Ts>(std::move(tasks), true)...
    );
    if constexpr (sizeof...(Ts) != 0) {
        co_await detail::gather_members(members);
    }
    co_return std::apply(
        [](detail::GatheredOne<Ts>&... member) {
            if constexpr (std::is_same_v<
                              detail::OutcomesOf<Ts...>,
                              std::tuple<Outcome<Ts>...>>) {
                return std::tuple<Outcome<Ts>...>(std::move(member.outcome())...);
            } else if constexpr (sizeof...(Ts) == 0) {
                return detail::OutcomesOf<Ts...>();
            } else {
                return detail::outcomes_of(member.outcome()...);
            }
        },
        members
    );
}

}  // namespace concurrency
