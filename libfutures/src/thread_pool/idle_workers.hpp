// SPDX-License-Identifier: BSL-1.0
// IdleWorkers: which threads of a pool search for work, which sleep, and waking them.
//
// A worker that finds no work searches for a while, then sleeps. A submitter wakes a
// sleeper only when no worker searches; a searcher that finds work and was the last one
// wakes the next sleeper if there is more work. Each says first what it does and looks
// then (sequentially consistent): the submitter adds work, then reads `sleeping_` and
// `searching_`; the worker enters itself as sleeping, stops searching, then looks for
// work. So one of the two sees the other.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/thread_safety.hpp"

#include <atomic>
#include <cstddef>
#include <vector>

namespace futures::detail {

class IdleWorkers {
public:
    /// One worker's place to sleep.
    struct Sleeper {
        mp::detail::FutexWord woken{0};
    };

    /// Makes room for `count` sleepers. Throws std::bad_alloc.
    void reserve(std::size_t count);

    // -- for submitters

    /// After work was added. A worker that searches will find it.
    void wake_unless_one_searches() noexcept {
        if (sleeping_.load() != 0 && searching_.load() == 0) {
            wake_one();
        }
    }

    // -- for workers

    /// The number of other workers that search.
    std::size_t begin_search() noexcept { return searching_.fetch_add(1); }

    /// True when it was the last.
    bool end_search() noexcept { return searching_.fetch_sub(1) == 1; }

    /// Enters a worker that searches as a sleeper, and no longer as searching. It looks
    /// for work once more, then calls sleep(), or cancel_sleep() if there is some.
    void prepare_sleep(Sleeper& self) noexcept;
    /// False when it was woken already: then sleep() returns at once.
    bool cancel_sleep(Sleeper& self) noexcept;
    /// Until it is woken. The waker has counted it as searching again.
    static void sleep(Sleeper& self) noexcept;

    // -- waking

    /// Wakes the worker that fell asleep last: its caches are the warmest.
    void wake_one() noexcept;
    void wake_all() noexcept;

    std::size_t sleeping() const noexcept { return sleeping_.load(); }

    /// Some thread searches or sleeps.
    bool any() const noexcept {
        return sleeping_.load() != 0 || searching_.load() != 0;
    }

private:
    // Own synchronisation.
    alignas(64) std::atomic<std::size_t> sleeping_{0};   // size of sleepers_
    alignas(64) std::atomic<std::size_t> searching_{0};  // woken ones included

    alignas(64) mp::detail::Mutex sleepers_mutex_;
    std::vector<Sleeper*> sleepers_ MP_GUARDED_BY(sleepers_mutex_);
};

}  // namespace futures::detail
