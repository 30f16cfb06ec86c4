// SPDX-License-Identifier: BSL-1.0
// wait: until all of some futures are done, or the first, or one has failed.
// Python:  concurrent.futures.wait
// Differs: the two sets are vectors without duplicates, in the order given.
// Threads: any.  Blocks: until then, or the timeout ends.
#pragma once

#include "futures/future.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <initializer_list>
#include <iterator>
#include <span>
#include <type_traits>
#include <unordered_set>
#include <utility>
#include <vector>

namespace futures {

/// What wait() waits for.
enum class ReturnWhen {
    all_completed,    ///< until every future is done
    first_completed,  ///< until one is done
    first_exception,  ///< until one has thrown, or every one is done
};

/// Until every future is done.
inline constexpr auto ALL_COMPLETED = ReturnWhen::all_completed;
/// Until one is done.
inline constexpr auto FIRST_COMPLETED = ReturnWhen::first_completed;
/// Until one has thrown, or every one is done.
inline constexpr auto FIRST_EXCEPTION = ReturnWhen::first_exception;

/// What wait() returns: all that it was given, in two parts.
template <class T>
struct DoneAndNotDone {
    /// Finished or cancelled.
    std::vector<Future<T>> done;
    /// The others.
    std::vector<Future<T>> not_done;
};

namespace detail {

/// Waits as wait() does, for distinct futures.
void wait_for(
    std::span<StateBase* const> states, const mp::Deadline& deadline, ReturnWhen when
);

/// The element type of a range of futures: T of Future<T>.
template <class Range>
using FutureValue =
    typename std::remove_cvref_t<decltype(*std::begin(std::declval<Range&>())
    )>::value_type;

/// The futures of a range, each once.
template <class Range>
std::vector<Future<FutureValue<Range>>> distinct(Range&& range) {
    std::vector<Future<FutureValue<Range>>> futures;
    std::unordered_set<const void*> seen;
    for (auto&& future : range) {
        if (seen.insert(&future.base()).second) {
            futures.push_back(future);
        }
    }
    return futures;
}

}  // namespace detail

/// Waits until all futures are done (ALL_COMPLETED), any is (FIRST_COMPLETED), or any
/// has failed or all are done (FIRST_EXCEPTION; a cancelled one has not failed), or
/// until the timeout ends, which is no error. A cancelled future counts as done when
/// its executor knows: those of this library know at once, a future made by hand after
/// set_running_or_notify_cancel().
template <class Range>
DoneAndNotDone<detail::FutureValue<Range>>
wait(Range&& fs, mp::Timeout timeout = mp::forever, ReturnWhen when = ALL_COMPLETED) {
    const mp::Deadline deadline(timeout);
    auto futures = detail::distinct(fs);
    std::vector<detail::StateBase*> states;
    states.reserve(futures.size());
    for (const auto& future : futures) {
        states.push_back(&future.base());
    }
    detail::wait_for(states, deadline, when);
    DoneAndNotDone<detail::FutureValue<Range>> sets;
    for (auto& future : futures) {
        (future.base().told() ? sets.done : sets.not_done).push_back(std::move(future));
    }
    return sets;
}

template <class Range>
DoneAndNotDone<detail::FutureValue<Range>> wait(Range&& fs, ReturnWhen when) {
    return wait(std::forward<Range>(fs), mp::forever, when);
}

/// The same for a list: wait({f, g}).
template <class T>
DoneAndNotDone<T> wait(
    std::initializer_list<Future<T>> fs,
    mp::Timeout timeout = mp::forever,
    ReturnWhen when = ALL_COMPLETED
) {
    return wait(std::span<const Future<T>>(fs.begin(), fs.size()), timeout, when);
}

template <class T>
DoneAndNotDone<T> wait(std::initializer_list<Future<T>> fs, ReturnWhen when) {
    return wait(fs, mp::forever, when);
}

}  // namespace futures
