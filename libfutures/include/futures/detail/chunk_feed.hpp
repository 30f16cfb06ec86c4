// SPDX-License-Identifier: BSL-1.0
// ChunkFeed: a map() that submits many items as one task, a chunk.
// Python:  ProcessPoolExecutor.map: process._get_chunks,
//          process._chain_from_iterable_of_lists.
// Differs: an item that throws does not take the rest of its chunk with it.
// Threads: one.
#pragma once

#include "futures/detail/map_feed.hpp"
#include "futures/detail/zip.hpp"
#include "futures/future.hpp"
#include "futures/submit_options.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <cstdint>
#include <deque>
#include <exception>
#include <optional>
#include <utility>
#include <vector>

namespace futures::detail {

/// What became of one item of a chunk: a value, or an exception.
template <class R>
struct ItemOutcome {
    ItemOutcome() = default;
    /// Said here, because a container of values that cannot be copied says it can.
    ItemOutcome(const ItemOutcome&) = delete;
    ItemOutcome& operator=(const ItemOutcome&) = delete;
    ItemOutcome(ItemOutcome&&) = default;
    ItemOutcome& operator=(ItemOutcome&&) = default;
    ~ItemOutcome() = default;

    std::optional<MapValue<R>> value;
    std::exception_ptr exception;
};

template <class Chunk>
struct ResultOfChunk;
template <class R>
struct ResultOfChunk<Future<std::vector<ItemOutcome<R>>>> {
    using type = R;
};

/// What an item of a chunk gives. The executor knows it: arguments may be something
/// else when they arrive, literals std::string.
template <class E, class Fn, class Item>
using ChunkResult = typename ResultOfChunk<decltype(std::declval<E&>().submit_chunk(
    std::declval<const Fn&>(), std::declval<std::vector<Item>>()
))>::type;

/// One future for `chunksize` items.
template <class E, class Fn, class... Ranges>
class ChunkFeed final
    : public MapFeed<ChunkResult<E, Fn, typename Zip<Ranges...>::Item>> {
public:
    using Item = typename Zip<Ranges...>::Item;
    using Result = ChunkResult<E, Fn, Item>;

    template <class F>
    ChunkFeed(
        E& executor,
        std::ptrdiff_t chunksize,
        SubmitOptions options,
        F&& fn,
        Ranges&&... ranges
    )
        : executor_(executor),
          options_(std::move(options)),
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
        value.emplace(*std::move(outcomes_[next_].value));
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

    void cancel(bool also_running) override {
        lazy_ = false;
        for (const Chunk& chunk : chunks_) {
            also_running ? chunk.future.cancel(running) : chunk.future.cancel();
        }
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
        auto&& executor = executor_.lock();
        // Whether there is one more is asked when it is wanted: that may fetch it.
        while ((in_flight_ == 0 || in_flight_ <= limit_ - chunksize_) &&
               !input_.at_end()) {
            std::vector<Item> items;
            for (auto i = chunksize_; i > 0 && !input_.at_end(); --i) {
                items.push_back(input_.next());
            }
            const std::size_t count = items.size();
            chunks_.push_back({submit(executor, std::move(items)), count});
            in_flight_ += static_cast<std::ptrdiff_t>(count);
        }
    }

    template <class Locked>
    auto submit(Locked& executor, std::vector<Item> items) {
        if constexpr (requires {
                          executor.submit_chunk(fn_, std::move(items), options_);
                      }) {
            return executor.submit_chunk(fn_, std::move(items), options_);
        } else {
            return executor.submit_chunk(fn_, std::move(items));
        }
    }

    WeakExecutor<E> executor_;
    const SubmitOptions options_;
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
