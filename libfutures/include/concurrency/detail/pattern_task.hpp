// SPDX-License-Identifier: BSL-1.0
// PatternTask: a task of a pattern, which hands over what comes out of it.
// Python:  none; the inner functions of lionpride's _patterns are nearest.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: concurrency/gather.hpp, src/concurrency/patterns/outcomes.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/group_state.hpp"
#include "concurrency/outcome.hpp"

#include <cstddef>
#include <exception>
#include <memory>
#include <optional>
#include <string>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

/// Whether the error may be a result: nothing in it is a cancellation, which is never
/// one.
bool may_be_result(const std::exception_ptr& error) noexcept;

/// "gather[3]".
std::string task_name(const char* pattern, std::size_t index);

/// What a coroutine that has ended returned or threw.
template <class T>
Outcome<T> outcome_of(Promise<T>& promise) noexcept {
    if (std::exception_ptr error = promise.error()) {
        return Outcome<T>(std::in_place_index<1>, std::move(error));
    }
    try {
        if constexpr (std::is_void_v<T>) {
            return Outcome<T>();
        } else {
            return Outcome<T>(std::in_place_index<0>, promise.take());
        }
    } catch (...) {
        return Outcome<T>(std::in_place_index<1>, std::current_exception());
    }
}

/// Puts the outcome into its place, unless it is an error that is no result. What is
/// given back, if anything, ends the group.
template <class T>
std::exception_ptr
keep(std::optional<Outcome<T>>& place, Outcome<T> outcome, bool errors_too) noexcept {
    std::exception_ptr error = outcome.error();
    if (error && !(errors_too && may_be_result(error))) {
        return error;
    }
    try {
        place.emplace(std::move(outcome));
    } catch (...) {
        return std::current_exception();
    }
    return nullptr;
}

/// Runs what Owner::open(index) gives, a Task<T>, and gives its outcome to
/// Owner::close(index, outcome), which says what the group is to have of it. If that is
/// nothing and the owner has a start_next(), it is called.
template <class T, class Owner>
class PatternTask final : public GroupTask {
public:
    PatternTask(GroupState& group, Owner& owner, std::size_t index)
        : GroupTask(group), owner_(owner), index_(index) {}

private:
    void begin() override {
        body_ = owner_.open(index_);
        body_.start_in(*this);
    }

    std::exception_ptr take_error() noexcept override {
        std::exception_ptr error = owner_.close(
            index_,
            error_ ? Outcome<T>(std::in_place_index<1>, std::move(error_))
                   : outcome_of(body_.promise())
        );
        if constexpr (requires { owner_.start_next(); }) {
            if (!error) {
                error = owner_.start_next();
            }
        }
        return error;
    }

    std::string default_name() const override {
        return task_name(Owner::pattern, index_);
    }

    Owner& owner_;
    std::size_t index_;
    Task<T> body_;
};

/// Some tasks at a time, the next one when one has ended.
template <class T, class Owner>
class Crew {
public:
    /// `count` tasks in all, for the indices from 0. They begin with the values that
    /// the task has which runs here.
    Crew(GroupBlock& block, Owner& owner, std::size_t count)
        : group_(block.state()),
          owner_(owner),
          count_(count),
          locals_(this_task().locals()) {}

    Crew(const Crew&) = delete;
    Crew& operator=(const Crew&) = delete;

    /// Starts the first ones.
    void start(std::size_t limit) {
        while (next_ < count_ && next_ < limit) {
            start_one();
        }
    }

    /// Gives the error, if that fails.
    std::exception_ptr start_next() noexcept {
        try {
            if (next_ < count_) {
                start_one();
            }
        } catch (...) {
            return std::current_exception();
        }
        return nullptr;
    }

private:
    void start_one() {
        auto task = std::make_unique<PatternTask<T, Owner>>(*group_, owner_, next_);
        LoopTask& started = *task;
        group_->start(std::move(task), {});
        started.set_locals(locals_);  // and not those of the task that has just ended
        ++next_;
    }

    std::shared_ptr<GroupState> group_;
    Owner& owner_;
    std::size_t count_;
    std::size_t next_ = 0;
    std::shared_ptr<const LocalValue> locals_;
};

}  // namespace concurrency::detail
