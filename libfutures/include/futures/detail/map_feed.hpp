// SPDX-License-Identifier: BSL-1.0
// MapFeed: the calls of one map(), from the input to the results.
// Python:  Executor.map's inner generator; process._chain_from_iterable_of_lists,
//          _process_chunk.
// Differs: a failing item of a chunk does not take the others with it.
// Threads: one.
#pragma once

#include "futures/future.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <functional>
#include <iterator>
#include <optional>
#include <tuple>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace futures::detail {

template <class R>
using MapValue = std::conditional_t<std::is_void_v<R>, std::monostate, R>;

/// What became of one item of a chunk: a value, or an exception.
template <class R>
struct ItemOutcome {
    std::optional<MapValue<R>> value;
    std::exception_ptr exception;
};

template <class R>
class MapFeed {
public:
    MapFeed() = default;
    MapFeed(const MapFeed&) = delete;
    MapFeed& operator=(const MapFeed&) = delete;
    virtual ~MapFeed() = default;

    /// No result is left.
    virtual bool empty() const = 0;
    /// Submits the next item, if any; what that throws becomes the last result.
    virtual void feed() = 0;
    /// Waits for the first result.
    virtual bool wait(const mp::Deadline& deadline) = 0;
    /// Moves the first result out, or throws its exception. Requires: wait().
    virtual void take(std::optional<MapValue<R>>& value) = 0;
    /// Goes on to the next result.
    virtual void drop_first() = 0;
    virtual void cancel_rest() noexcept = 0;
};

template <class Range>
using RangeIterator =
    decltype(std::begin(std::declval<std::remove_reference_t<Range>&>()));

template <class Range>
using RangeValue = std::iter_value_t<RangeIterator<Range>>;

/// The items of several ranges side by side, as Python's zip(): the shortest ends it.
/// Ranges that were given as temporaries live in it.
template <class... Ranges>
class Zip {
public:
    using Item = std::tuple<RangeValue<Ranges>...>;

    explicit Zip(Ranges&&... ranges)
        : ranges_(std::forward<Ranges>(ranges)...),
          iterators_(std::apply(
              [](auto&... range) { return std::tuple(std::begin(range)...); }, ranges_
          )) {}

    /// The iterators point into it.
    Zip(const Zip&) = delete;
    Zip& operator=(const Zip&) = delete;
    ~Zip() = default;

    bool at_end() {
        go_on();
        return at_end(std::index_sequence_for<Ranges...>());
    }

    /// Requires: not at the end.
    Item next() {
        go_on();
        taken_ = true;
        // In braces: from left to right.
        return std::apply([](auto&... it) { return Item{*it...}; }, iterators_);
    }

private:
    /// Past what was taken; not before the next is wanted, because a range may make its
    /// items on the way.
    void go_on() {
        if (std::exchange(taken_, false)) {
            std::apply([](auto&... it) { (static_cast<void>(++it), ...); }, iterators_);
        }
    }

    template <std::size_t... I>
    bool at_end(std::index_sequence<I...>) {
        return ((std::get<I>(iterators_) == std::end(std::get<I>(ranges_))) || ...);
    }

    std::tuple<Ranges...> ranges_;  // references stay references
    std::tuple<RangeIterator<Ranges>...> iterators_;
    bool taken_ = false;  // the items that the iterators stand on
};

template <class Fn, class Item>
struct CallWithItem;

template <class Fn, class... Args>
struct CallWithItem<Fn, std::tuple<Args...>> {
    using Result = std::decay_t<std::invoke_result_t<Fn, Args...>>;
};

/// One future an item.
template <class E, class Fn, class... Ranges>
class ItemFeed final
    : public MapFeed<typename CallWithItem<Fn, typename Zip<Ranges...>::Item>::Result> {
public:
    using Result = typename CallWithItem<Fn, typename Zip<Ranges...>::Item>::Result;

    template <class F>
    ItemFeed(E& executor, F&& fn, Ranges&&... ranges)
        : executor_(&executor),
          fn_(std::forward<F>(fn)),
          input_(std::forward<Ranges>(ranges)...) {}

    /// Submits up to `limit` items; with a limit, more on the way. Throws what submit()
    /// throws, and then nothing of it is left.
    void start(std::ptrdiff_t limit) {
        lazy_ = limit != PTRDIFF_MAX;
        try {
            for (; limit > 0 && !input_.at_end(); --limit) {
                submit();
            }
        } catch (...) {
            cancel_rest();
            throw;
        }
    }

    bool empty() const override { return futures_.empty() && error_ == nullptr; }

    void feed() override {
        if (lazy_ && error_ == nullptr) {
            try {
                if (!input_.at_end()) {
                    submit();
                }
            } catch (...) {
                error_ = std::current_exception();
                lazy_ = false;
            }
        }
    }

    bool wait(const mp::Deadline& deadline) override {
        return futures_.empty() || futures_.front().base().wait(deadline);
    }

    void take(std::optional<MapValue<Result>>& value) override {
        if (futures_.empty()) {
            std::rethrow_exception(error_);
        }
        if constexpr (std::is_void_v<Result>) {
            std::move(futures_.front()).result();
            value.emplace();
        } else {
            value.emplace(std::move(futures_.front()).result());
        }
    }

    void drop_first() override {
        if (futures_.empty()) {
            error_ = nullptr;
        } else {
            futures_.pop_front();
        }
    }

    void cancel_rest() noexcept override {
        lazy_ = false;
        error_ = nullptr;
        for (const auto& future : futures_) {
            future.cancel();
        }
        futures_.clear();
    }

private:
    void submit() {
        futures_.push_back(std::apply(
            [this](auto&&... args) {
                return executor_->submit(fn_, std::forward<decltype(args)>(args)...);
            },
            input_.next()
        ));
    }

    E* executor_;
    Fn fn_;
    Zip<Ranges...> input_;
    std::deque<Future<Result>> futures_;
    std::exception_ptr error_;  // of a submit(), after all futures
    bool lazy_ = false;
};

/// Calls `fn` for each item. What the executor runs in a worker for a chunk.
template <class Fn, class Item>
std::vector<ItemOutcome<typename CallWithItem<Fn, Item>::Result>>
run_chunk(Fn& fn, std::vector<Item>& items) {
    using Result = typename CallWithItem<Fn, Item>::Result;
    std::vector<ItemOutcome<Result>> outcomes(items.size());
    for (std::size_t i = 0; i < items.size(); ++i) {
        try {
            if constexpr (std::is_void_v<Result>) {
                std::apply(fn, std::move(items[i]));
                outcomes[i].value.emplace();
            } else {
                outcomes[i].value.emplace(std::apply(fn, std::move(items[i])));
            }
        } catch (...) {
            outcomes[i].exception = std::current_exception();
        }
    }
    return outcomes;
}

/// One future for `chunksize` items.
template <class E, class Fn, class... Ranges>
class ChunkFeed final
    : public MapFeed<typename CallWithItem<Fn, typename Zip<Ranges...>::Item>::Result> {
public:
    using Item = typename Zip<Ranges...>::Item;
    using Result = typename CallWithItem<Fn, Item>::Result;

    template <class F>
    ChunkFeed(E& executor, std::ptrdiff_t chunksize, F&& fn, Ranges&&... ranges)
        : executor_(&executor),
          fn_(std::forward<F>(fn)),
          input_(std::forward<Ranges>(ranges)...),
          chunksize_(chunksize) {}

    /// Submits up to `limit` items, at least one chunk.
    void start(std::ptrdiff_t limit) {
        lazy_ = limit != PTRDIFF_MAX;
        limit_ = limit;
        try {
            top_up();
        } catch (...) {
            cancel_rest();
            throw;
        }
    }

    bool empty() const override {
        return next_ == outcomes_.size() && chunks_.empty() && error_ == nullptr;
    }

    void feed() override {
        if (lazy_ && error_ == nullptr) {
            try {
                --in_flight_;  // the result that is about to be taken
                top_up();
            } catch (...) {
                error_ = std::current_exception();
                lazy_ = false;
            }
        }
    }

    bool wait(const mp::Deadline& deadline) override {
        return next_ < outcomes_.size() || chunks_.empty() ||
               chunks_.front().future.base().wait(deadline);
    }

    void take(std::optional<MapValue<Result>>& value) override {
        if (next_ == outcomes_.size()) {
            if (chunks_.empty()) {
                std::rethrow_exception(error_);
            }
            Chunk& chunk = chunks_.front();
            if (chunk.future.exception() != nullptr) {
                // The whole chunk was lost: every item of it has this exception.
                std::rethrow_exception(chunk.future.exception());
            }
            outcomes_ = std::move(chunk.future).result();
            next_ = chunk.skipped;
            chunks_.pop_front();
        }
        if (outcomes_[next_].exception != nullptr) {
            std::rethrow_exception(outcomes_[next_].exception);
        }
        value = std::move(outcomes_[next_].value);
    }

    void drop_first() override {
        if (next_ < outcomes_.size()) {
            ++next_;
            return;
        }
        if (chunks_.empty()) {
            error_ = nullptr;
            return;
        }
        // Nobody asked for it, or it is lost: its items are skipped one by one.
        Chunk& chunk = chunks_.front();
        if (--chunk.items == 0) {
            chunks_.pop_front();
        } else {
            ++chunk.skipped;
        }
    }

    void cancel_rest() noexcept override {
        lazy_ = false;
        error_ = nullptr;
        for (const Chunk& chunk : chunks_) {
            chunk.future.cancel();
        }
        chunks_.clear();
        outcomes_.clear();
        next_ = 0;
    }

private:
    struct Chunk {
        Future<std::vector<ItemOutcome<Result>>> future;
        std::size_t items = 0;    // not yet given or skipped
        std::size_t skipped = 0;  // by ++ without *
    };

    /// Chunks as long as all of their items fit the buffer, and one when nothing is
    /// under way.
    void top_up() {
        while (!input_.at_end() &&
               (in_flight_ == 0 || in_flight_ <= limit_ - chunksize_)) {
            std::vector<Item> items;
            for (auto i = chunksize_; i > 0 && !input_.at_end(); --i) {
                items.push_back(input_.next());
            }
            const std::size_t count = items.size();
            chunks_.push_back({executor_->submit_chunk(fn_, std::move(items)), count});
            in_flight_ += static_cast<std::ptrdiff_t>(count);
        }
    }

    E* executor_;
    Fn fn_;
    Zip<Ranges...> input_;
    const std::ptrdiff_t chunksize_;
    std::ptrdiff_t limit_ = 0;
    std::ptrdiff_t in_flight_ = 0;
    std::deque<Chunk> chunks_;
    std::vector<ItemOutcome<Result>> outcomes_;  // of the chunk being given
    std::size_t next_ = 0;
    std::exception_ptr error_;  // of a submit(), after all results
    bool lazy_ = false;
};

}  // namespace futures::detail
