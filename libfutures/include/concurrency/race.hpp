// SPDX-License-Identifier: BSL-1.0
// race: several coroutines at once, and the result of the first that ends.
// Python:  lionpride.libs.concurrency.race.
// Differs: all return the same type.
// Threads: a task of a loop.
// Throws:  what the first one that ends throws, as it is; ValueError without any.
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
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {

[[noreturn]] void throw_no_racers();

/// What is kept of an error, apart from cancellations: (cancellation, error).
std::pair<std::exception_ptr, std::exception_ptr>
split_result(const std::exception_ptr& error) noexcept;

/// The coroutines of a race, and the first outcome.
template <class T>
class Race {
public:
    static constexpr const char* pattern = "race";

    explicit Race(std::vector<Task<T>> tasks) : tasks_(std::move(tasks)) {
        if (tasks_.empty()) {
            throw_no_racers();
        }
    }

    void start_in(GroupBlock& block) {
        group_ = block.state().get();
        for (std::size_t i = 0; i < tasks_.size(); ++i) {
            group_->start(
                std::make_unique<PatternTask<T, Race>>(*block.state(), *this, i), {}
            );
        }
    }

    Task<T> open(std::size_t index) noexcept { return std::move(tasks_[index]); }

    // The winner cancels the others, and what they do then is dropped.
    std::exception_ptr close(std::size_t, Outcome<T> outcome) noexcept {
        std::exception_ptr cancellation;
        if (std::exception_ptr error = outcome.error()) {
            auto [cancelled, rest] = split_result(error);
            cancellation = std::move(cancelled);
            if (cancellation && !cancellation_) {
                cancellation_ = cancellation;
            }
            if (!rest) {
                return cancellation;
            }
            outcome = Outcome<T>(std::in_place_index<1>, std::move(rest));
        }
        if (!winner_) {
            if (std::exception_ptr error = keep(winner_, std::move(outcome), true)) {
                winner_.emplace(std::in_place_index<1>, std::move(error));
            }
            group_->scope().cancel();
        }
        return cancellation;
    }

    T result() {
        if (!winner_) {
            std::rethrow_exception(cancellation_);
        }
        if constexpr (std::is_void_v<T>) {
            winner_->value();
        } else {
            return static_cast<T&&>(winner_->value());
        }
    }

private:
    std::vector<Task<T>> tasks_;
    GroupState* group_ = nullptr;
    std::optional<Outcome<T>> winner_;
    std::exception_ptr cancellation_;
};

}  // namespace detail

/// Awaits all of these at once, each in a task of its own. The first one that ends,
/// with a value or an error, is the result; the others are cancelled, and waited for,
/// and nothing that comes out of them counts. Throws ValueError for an empty vector.
template <class T>
Task<T> race(std::vector<Task<T>> tasks) {
    detail::Race<T> racing(std::move(tasks));
    detail::GroupBlock block(detail::this_task());
    racing.start_in(block);
    while (block.has_tasks()) {
        detail::GroupBlock::Rest rest(block, "race");
        co_await rest;
    }
    block.leave();
    co_return racing.result();
}

/// The same for arguments.
template <class T, class... Rest>
    requires(std::is_same_v<T, Rest>&&...)
Task<T> race(Task<T> first, Task<Rest>... rest) {
    std::vector<Task<T>> tasks;
    tasks.reserve(1 + sizeof...(rest));
    tasks.push_back(std::move(first));
    (tasks.push_back(std::move(rest)), ...);
    return race(std::move(tasks));
}

}  // namespace concurrency
