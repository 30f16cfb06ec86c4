// SPDX-License-Identifier: BSL-1.0
// Executor: what a thread pool and a process pool have in common, and map().
// Python:  concurrent.futures.Executor
// Differs: a concept, not a base class. map() gives a range that owns its futures; an
//          exception does not end it (as in Python 3.16), a timeout does.
// Threads: an executor: any; a range of results: one.
#pragma once

#include "futures/detail/chunk_feed.hpp"
#include "futures/detail/item_feed.hpp"
#include "futures/detail/map_feed.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "mp/timeout.hpp"

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <initializer_list>
#include <iterator>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>
#include <vector>

namespace futures {

/// A number of things, of any integer type; saturates.
class Count {
public:
    /// A number of any integer type; one that does not fit becomes the nearest that
    /// does.
    template <std::integral I>
    constexpr Count(I n) noexcept  // NOLINT(google-explicit-constructor): it is one
        : value_(
              std::cmp_greater(n, PTRDIFF_MAX) ? PTRDIFF_MAX
              : std::cmp_less(n, PTRDIFF_MIN)  ? PTRDIFF_MIN
                                               : static_cast<std::ptrdiff_t>(n)
          ) {}

    /// The number.
    constexpr std::ptrdiff_t value() const noexcept { return value_; }

private:
    std::ptrdiff_t value_;
};

struct ShutdownOptions {
    /// Wait until all work is done and the workers are gone.
    bool wait = true;
    /// Cancel what has not begun.
    bool cancel_futures = false;
};

struct MapOptions {
    /// Process pools: how many items travel in one task. Threads ignore it.
    Count chunksize = 1;
    /// Take this many items at the call, and one more for each result that is taken.
    /// Without it, everything is submitted at the call.
    std::optional<Count> buffersize = {};
    /// From the call on, for all results.
    mp::Timeout timeout = mp::forever;
    /// Of each item, as SubmitOptions::timeout: that item's result is TaskTimeout, the
    /// others are not touched. With it items travel one by one, whatever the chunksize.
    mp::Timeout task_timeout = mp::forever;
    /// Of each item, as SubmitOptions has it. Process pools run an item of a chunk
    /// again at once, in the worker that it threw in, and the whole chunk when that
    /// worker dies.
    std::uint32_t retries = 0;
    /// Which exceptions of an item make it run again.
    RetryOn retry_on = {};
    /// Of the tasks, as SubmitOptions has it.
    int priority = 0;
};

/// What has submit() and shutdown() as both pools have them: a function that takes any
/// pool is a template over this.
template <class E>
concept Executor = requires(E& executor, void (*task)(), ShutdownOptions options) {
    { executor.submit(task) } -> std::same_as<Future<void>>;
    executor.shutdown();
    executor.shutdown(options);
};

/// What map() returns: the results in the order of the input, to go through once.
/// `for (int x : pool.map(f, inputs))`. Destroying it, or close(), cancels what has not
/// begun.
template <class R>
class MapResults {
public:
    /// std::monostate for functions that return nothing.
    using value_type = detail::MapValue<R>;

    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = MapResults::value_type;
        using difference_type = std::ptrdiff_t;
        using reference = value_type&&;
        using pointer = value_type*;

        explicit Iterator(MapResults* results) noexcept : results_(results) {}

        /// Waits for this result and hands it over. Throws: what the call threw (the
        /// next ones can still be had), TimeoutError (then the range is at its end and
        /// the rest is cancelled), mp::StateError when the executor was shut down
        /// before all items were submitted (at the place of the first that was not).
        value_type&& operator*() const { return results_->take(); }

        Iterator& operator++() {
            results_->advance();
            return *this;
        }

        void operator++(int) { results_->advance(); }

        bool operator==(std::default_sentinel_t) const { return results_->at_end(); }

    private:
        MapResults* results_;
    };

    /// Nothing.
    MapResults() : deadline_(mp::forever) {}

    MapResults(std::unique_ptr<detail::MapFeed<R>> feed, mp::Deadline deadline)
        : feed_(std::move(feed)), deadline_(deadline) {}

    MapResults(const MapResults&) = delete;
    MapResults& operator=(const MapResults&) = delete;
    MapResults(MapResults&&) noexcept = default;

    MapResults& operator=(MapResults&& other) noexcept {
        close();
        feed_ = std::move(other.feed_);
        deadline_ = other.deadline_;
        if (other.value_) {
            value_.emplace(*std::move(other.value_));
        }
        taken_ = std::exchange(other.taken_, false);
        return *this;
    }

    ~MapResults() { close(); }

    Iterator begin() { return Iterator(this); }

    std::default_sentinel_t end() const noexcept { return {}; }

    /// The results that are left, as Python's list(): `std::vector v = pool.map(fn,
    /// inputs).to_vector()`. Waits for them. Throws what the first call that failed
    /// threw, or TimeoutError; then the range is closed.
    std::vector<value_type> to_vector() { return to<std::vector<value_type>>(); }

    /// The same in another container: `to<std::set<int>>()`, `to<std::deque>()`.
    template <class Container>
    Container to() {
        if (taken_) {
            advance();
        }
        Container all;
        try {
            for (; !at_end(); advance()) {
                if constexpr (requires { all.emplace_back(take()); }) {
                    all.emplace_back(take());
                } else {
                    all.insert(all.end(), take());
                }
            }
        } catch (...) {
            close();
            throw;
        }
        return all;
    }

    template <template <class...> class Container>
    Container<value_type> to() {
        return to<Container<value_type>>();
    }

    /// Cancels what no worker has begun, in a process pool chunk by chunk, and takes no
    /// more from the input. What is left can still be had: the result, or
    /// CancelledError in its place.
    void cancel() {
        if (feed_ != nullptr) {
            feed_->cancel(false);
        }
    }

    /// The same, and stops what runs: see Future::cancel(running). Does not wait.
    void cancel(Running) {
        if (feed_ != nullptr) {
            feed_->cancel(true);
        }
    }

    /// Cancels what has not begun; the range is at its end.
    void close() noexcept {
        if (feed_ != nullptr) {
            feed_->cancel_rest();
            feed_.reset();
        }
        taken_ = false;
        value_.reset();
    }

private:
    bool at_end() const { return feed_ == nullptr || feed_->empty(); }

    value_type&& take() {
        if (!taken_) {
            if (at_end()) {
                throw InvalidStateError("the results of map() are at their end");
            }
            feed_->feed();
            if (!feed_->wait(deadline_)) {
                close();
                throw TimeoutError("the results of map() are not done in time");
            }
            taken_ = true;
            value_.reset();
            feed_->take(value_);
        } else if (!value_) {
            throw InvalidStateError("this result of map() was an exception");
        }
        return std::move(*value_);
    }

    void advance() {
        if (feed_ == nullptr) {
            return;
        }
        if (!taken_) {
            feed_->feed();
        }
        taken_ = false;
        value_.reset();
        feed_->drop_first();
    }

    std::unique_ptr<detail::MapFeed<R>> feed_;
    mp::Deadline deadline_;
    std::optional<value_type> value_;
    bool taken_ = false;  // the first result was asked for
};

/// map() of items in braces, where Python has lists, for an executor that has map():
/// `pool.map(add, {1, 2}, {3, 4})`. Beside one range or more, lists come last, or one
/// comes first.
template <class E>
class MapsLists {
public:
    /// All inputs in lists: `pool.map(add, {1, 2}, {3, 4})`.
    template <class Fn, class... T>
        requires(sizeof...(T) > 0 && !std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, std::initializer_list<T>... lists) {
        return self().map(MapOptions(), std::forward<Fn>(fn), std::vector<T>(lists)...);
    }

    template <class Fn, class... T>
        requires(sizeof...(T) > 0 && !std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(const MapOptions& options, Fn&& fn, std::initializer_list<T>... lists) {
        return self().map(options, std::forward<Fn>(fn), std::vector<T>(lists)...);
    }

    template <class Fn, class Range, class T, class... Ts>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto
    map(Fn&& fn,
        Range&& range,
        std::initializer_list<T> list,
        std::initializer_list<Ts>... lists) {
        return map(
            MapOptions(),
            std::forward<Fn>(fn),
            std::forward<Range>(range),
            list,
            lists...
        );
    }

    template <class Fn, class Range, class T, class... Ts>
        requires(!std::same_as<std::decay_t<Fn>, MapOptions>)
    auto
    map(const MapOptions& options,
        Fn&& fn,
        Range&& range,
        std::initializer_list<T> list,
        std::initializer_list<Ts>... lists) {
        return self().map(
            options,
            std::forward<Fn>(fn),
            std::forward<Range>(range),
            std::vector<T>(list),
            std::vector<Ts>(lists)...
        );
    }

    template <class Fn, class T, class... Ranges>
        requires(sizeof...(Ranges) > 0 && !std::same_as<std::decay_t<Fn>, MapOptions>)
    auto map(Fn&& fn, std::initializer_list<T> list, Ranges&&... ranges) {
        return map(
            MapOptions(), std::forward<Fn>(fn), list, std::forward<Ranges>(ranges)...
        );
    }

    template <class Fn, class T, class... Ranges>
        requires(sizeof...(Ranges) > 0 && !std::same_as<std::decay_t<Fn>, MapOptions>)
    auto
    map(const MapOptions& options,
        Fn&& fn,
        std::initializer_list<T> list,
        Ranges&&... ranges) {
        return self().map(
            options,
            std::forward<Fn>(fn),
            std::vector<T>(list),
            std::forward<Ranges>(ranges)...
        );
    }

private:
    E& self() noexcept { return static_cast<E&>(*this); }
};

namespace detail {

/// Throws std::invalid_argument for a chunksize or buffersize below 1.
void check_map_options(Count chunksize, const std::optional<Count>& buffersize);

/// What map() says of each of its tasks.
inline SubmitOptions task_options(const MapOptions& options) {
    SubmitOptions task;
    task.timeout = options.task_timeout;
    task.retries = options.retries;
    task.retry_on = options.retry_on;
    task.priority = options.priority;
    check_options_of_task(task);
    return task;
}

/// Where the executor limits each task: items travel one by one, each with the limit.
inline MapOptions one_by_one(MapOptions options) {
    if (options.chunksize.value() > 1) {
        options.chunksize = 1;
    }
    return options;
}

/// map() of an executor that runs item by item.
template <class E, class Fn, class... Ranges>
auto map_items(E& executor, const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
    using Feed = ItemFeed<E, std::decay_t<Fn>, Ranges...>;
    check_map_options(options.chunksize, options.buffersize);
    const mp::Deadline deadline(options.timeout);
    auto feed = std::make_unique<Feed>(
        executor,
        task_options(options),
        std::forward<Fn>(fn),
        std::forward<Ranges>(ranges)...
    );
    feed->start(options.buffersize ? options.buffersize->value() : PTRDIFF_MAX);
    return MapResults<typename Feed::Result>(std::move(feed), deadline);
}

/// map() of an executor that has
///     Future<std::vector<ItemOutcome<R>>> submit_chunk(const Fn&, std::vector<Items>)
/// where Items is a std::tuple of the arguments of one call. It runs `fn` for each item
/// and gives one outcome an item, in order.
/// A chunk counts as `chunksize` items of the buffer.
template <class E, class Fn, class... Ranges>
auto map_chunks(E& executor, const MapOptions& options, Fn&& fn, Ranges&&... ranges) {
    using Feed = ChunkFeed<E, std::decay_t<Fn>, Ranges...>;
    check_map_options(options.chunksize, options.buffersize);
    const mp::Deadline deadline(options.timeout);
    auto feed = std::make_unique<Feed>(
        executor,
        options.task_timeout.is_forever() ? options.chunksize.value() : 1,
        task_options(options),
        std::forward<Fn>(fn),
        std::forward<Ranges>(ranges)...
    );
    feed->start(options.buffersize ? options.buffersize->value() : PTRDIFF_MAX);
    return MapResults<typename Feed::Result>(std::move(feed), deadline);
}

}  // namespace detail
}  // namespace futures
