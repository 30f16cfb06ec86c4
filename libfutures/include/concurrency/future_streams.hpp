// SPDX-License-Identifier: BSL-1.0
// wait and as_completed for tasks: many futures, as they get done.
// Python:  asyncio.wait, asyncio.as_completed.
// Differs: for the futures of pools. A limit is that of a scope around: move_on_after(1,
//          wait(fs)). Neither cancels a future when the task is cancelled.
// Threads: a task of a loop; elsewhere RuntimeError.
// Throws:  Cancelled, at a checkpoint of a scope that is cancelled.
// Read next: concurrency/detail/completions.hpp
#pragma once

#include "futures/wait.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/completions.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>
#include <vector>

namespace concurrency {

/// When wait() returns, as for threads.
using futures::ALL_COMPLETED;
using futures::FIRST_COMPLETED;
using futures::FIRST_EXCEPTION;
using futures::ReturnWhen;

/// Futures in the order in which they get done; as_completed() makes it.
template <class T>
class FutureStream {
public:
    /// Waits for the next one that is done, however it ended; none when all have been
    /// given. Throws Cancelled, and then none is lost; BusyResourceError while another
    /// task waits here.
    /// The stream has to be there when the Task is made, no longer.
    Task<std::optional<futures::Future<T>>> next() { return next_of(state_); }

    /// So many have not been given yet.
    std::size_t left() const noexcept { return state_->completions.left(); }

    // -- For the library.

    /// Of futures that differ from one another.
    explicit FutureStream(std::vector<futures::Future<T>> distinct)
        : state_(std::make_shared<State>()) {
        state_->futures = std::move(distinct);
        for (const auto& future : state_->futures) {
            state_->completions.add(future.base());
        }
    }

    /// The futures, in the order in which they were given.
    const std::vector<futures::Future<T>>& futures() const noexcept {
        return state_->futures;
    }

private:
    struct State {
        std::vector<futures::Future<T>> futures;
        detail::Completions completions;  // last: leaves them first
    };

    static Task<std::optional<futures::Future<T>>> next_of(std::shared_ptr<State> state
    ) {
        const std::size_t number = co_await state->completions.next();
        std::optional<futures::Future<T>> future;
        if (number != detail::Completions::none) {
            future.emplace(state->futures[number]);
        }
        co_return std::move(future);
    }

    std::shared_ptr<State> state_;  // shared with tasks in next()
};

/// The futures of a range, each once, as they get done: `auto stream =
/// as_completed(fs); while (auto f = co_await stream.next()) { ... }`. They may be
/// awaited or cancelled meanwhile. The stream is used in one loop.
template <class Range>
FutureStream<futures::detail::FutureValue<Range>> as_completed(Range&& fs) {
    return FutureStream<futures::detail::FutureValue<Range>>(
        futures::detail::distinct(fs)
    );
}

/// The same. With it, where both namespaces are at hand, as_completed(fs) is this one.
template <class T>
FutureStream<T> as_completed(std::vector<futures::Future<T>> fs) {
    return FutureStream<T>(futures::detail::distinct(fs));
}

namespace detail {

template <class T>
Task<futures::DoneAndNotDone<T>>
wait_for_futures(std::vector<futures::Future<T>> all, futures::ReturnWhen when) {
    FutureStream<T> stream(std::move(all));
    while (stream.left() != 0) {
        const std::optional<futures::Future<T>> next = co_await stream.next();
        if (when == futures::FIRST_COMPLETED ||
            (when == futures::FIRST_EXCEPTION && next->base().raised())) {
            break;
        }
    }
    futures::DoneAndNotDone<T> sets;
    for (const auto& future : stream.futures()) {
        (future.done() ? sets.done : sets.not_done).push_back(future);
    }
    co_return std::move(sets);
}

}  // namespace detail

/// Waits until all futures of a range are done, or what `when` says, as futures::wait()
/// does for threads: gives those that are done and the others, each once, in the order
/// given.
template <class Range>
Task<futures::DoneAndNotDone<futures::detail::FutureValue<Range>>>
wait(Range&& fs, futures::ReturnWhen when = futures::ALL_COMPLETED) {
    return detail::wait_for_futures(futures::detail::distinct(fs), when);
}

/// The same. With it, where both namespaces are at hand, wait(fs) is this one.
template <class T>
Task<futures::DoneAndNotDone<T>> wait(
    std::vector<futures::Future<T>> fs,
    futures::ReturnWhen when = futures::ALL_COMPLETED
) {
    return detail::wait_for_futures(futures::detail::distinct(fs), when);
}

}  // namespace concurrency
