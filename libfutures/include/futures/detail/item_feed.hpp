// SPDX-License-Identifier: BSL-1.0
// ItemFeed: a map() that submits each item as a task of its own.
// Python:  Executor.map
// Differs: nothing.
// Threads: one.
#pragma once

#include "futures/detail/future_arguments.hpp"
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
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// What the call of an item gives. Where items are futures, the executor knows what
/// becomes of them.
template <class E, class Fn, class Item>
struct ItemResult : CallWithItem<Fn, Item> {};

template <class E, class Fn, class... Args>
    requires(FutureArgument<Args> || ...)
struct ItemResult<E, Fn, std::tuple<Args...>> {
    using Result = typename decltype(std::declval<E&>().submit(
        std::declval<SubmitOptions>(), std::declval<Fn&>(), std::declval<Args>()...
    ))::value_type;
};

/// One future an item.
template <class E, class Fn, class... Ranges>
class ItemFeed final
    : public MapFeed<
          typename ItemResult<E, Fn, typename Zip<Ranges...>::Item>::Result> {
public:
    using Result = typename ItemResult<E, Fn, typename Zip<Ranges...>::Item>::Result;

    template <class F>
    ItemFeed(E& executor, SubmitOptions options, F&& fn, Ranges&&... ranges)
        : executor_(executor),
          options_(std::move(options)),
          fn_(std::forward<F>(fn)),
          input_(std::forward<Ranges>(ranges)...) {}

    /// Submits up to `limit` items; with a limit, more on the way. Throws what submit()
    /// throws, and then nothing of it is left.
    void start(std::ptrdiff_t limit) {
        lazy_ = limit != PTRDIFF_MAX;
        try {
            auto&& executor = executor_.lock();
            for (; limit > 0 && !input_.at_end(); --limit) {
                submit(executor);
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
                    auto&& executor = executor_.lock();
                    submit(executor);
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

    void cancel(bool also_running) override {
        lazy_ = false;
        for (const auto& future : futures_) {
            also_running ? future.cancel(running) : future.cancel();
        }
    }

private:
    void submit(E& executor) {
        constexpr bool copies = (is_copied<RangeItem<Ranges>> && ...);
        static_assert(
            copies,
            "each call gets a copy of its item, and the items of this range cannot be "
            "copied: give the range away, map(fn, std::move(items))"
        );
        if constexpr (copies) {
            submit_next(executor);
        }
    }

    void submit_next(E& executor) {
        futures_.push_back(std::apply(
            [&](auto&&... args) {
                if constexpr (requires {
                                  executor.submit(
                                      options_,
                                      fn_,
                                      std::forward<decltype(args)>(args)...
                                  );
                              }) {
                    return executor.submit(
                        options_, fn_, std::forward<decltype(args)>(args)...
                    );
                } else {
                    return executor.submit(fn_, std::forward<decltype(args)>(args)...);
                }
            },
            input_.next()
        ));
    }

    WeakExecutor<E> executor_;
    const SubmitOptions options_;
    Fn fn_;
    Zip<Ranges...> input_;
    std::deque<Future<Result>> futures_;
    std::exception_ptr error_;  // of a submit(), after all futures
    bool lazy_ = false;
};

}  // namespace futures::detail
