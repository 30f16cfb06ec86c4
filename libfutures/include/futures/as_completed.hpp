// SPDX-License-Identifier: BSL-1.0
// as_completed: futures in the order in which they finish.
// Python:  concurrent.futures.as_completed
// Differs: the deadline starts at begin(), which is where Python's starts at the first
//          next(). The range owns handles of the futures not yet given, and of the one
//          given last.
// Threads: one.  Blocks: begin() and ++, until the next future is done.
#pragma once

#include "futures/detail/waiter.hpp"
#include "futures/wait.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace futures {

namespace detail {

/// Throws TimeoutError("k (of n) futures unfinished").
[[noreturn]] void throw_unfinished(std::size_t unfinished, std::size_t all);

}  // namespace detail

/// What as_completed() returns: a range to go through once.
template <class T>
class AsCompleted {
public:
    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = Future<T>;
        using difference_type = std::ptrdiff_t;
        using reference = Future<T>&;
        using pointer = Future<T>*;

        explicit Iterator(AsCompleted* range) noexcept : range_(range) {}

        Future<T>& operator*() const { return *range_->current_; }

        Future<T>* operator->() const { return &*range_->current_; }

        /// Throws TimeoutError("k (of n) futures unfinished").
        Iterator& operator++() {
            range_->advance();
            return *this;
        }

        void operator++(int) { range_->advance(); }

        bool operator==(std::default_sentinel_t) const noexcept {
            return !range_->current_;
        }

    private:
        AsCompleted* range_;
    };

    /// For as_completed(), which makes one.
    AsCompleted(std::vector<Future<T>> distinct_futures, mp::Timeout timeout)
        : timeout_(timeout),
          left_(std::move(distinct_futures)),
          all_(left_.size()),
          waiter_(std::make_unique<detail::Waiter>()) {}

    /// Starts the time, and waits for the first. Throws TimeoutError.
    Iterator begin() {
        if (!deadline_) {
            deadline_.emplace(timeout_);
            unfinished_ = all_;
            for (std::size_t i = 0; i < left_.size(); ++i) {
                if (!waiter_->watch(left_[i].base(), i)) {
                    ready_.push_back(i);
                }
            }
            advance();
        }
        return Iterator(this);
    }

    std::default_sentinel_t end() const noexcept { return {}; }

private:
    void advance() {
        current_.reset();
        if (unfinished_ == 0) {
            return;
        }
        std::size_t i = detail::Waiter::none;
        if (next_ready_ < ready_.size()) {
            i = ready_[next_ready_++];
        } else if (i = waiter_->next(*deadline_); i == detail::Waiter::none) {
            detail::throw_unfinished(unfinished_, all_);
        }
        --unfinished_;
        current_.emplace(std::move(left_[i]));
    }

    mp::Timeout timeout_;
    std::optional<mp::Deadline> deadline_;  // from begin() on
    std::vector<Future<T>> left_;
    std::vector<std::size_t> ready_;  // were done at begin()
    std::size_t next_ready_ = 0;
    std::size_t all_;
    std::size_t unfinished_ = 0;
    std::optional<Future<T>> current_;
    std::unique_ptr<detail::Waiter> waiter_;  // last: it leaves the futures first
};

/// Goes through futures as they finish: those that are done already first, each once.
/// `for (auto& f : as_completed(fs, 10s))` throws TimeoutError when the next one is not
/// done in time.
template <class Range>
AsCompleted<detail::FutureValue<Range>>
as_completed(Range&& fs, mp::Timeout timeout = mp::forever) {
    return {detail::distinct(fs), timeout};
}

template <class T>
AsCompleted<T>
as_completed(std::initializer_list<Future<T>> fs, mp::Timeout timeout = mp::forever) {
    return {detail::distinct(fs), timeout};
}

}  // namespace futures
