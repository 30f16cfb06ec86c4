// SPDX-License-Identifier: BSL-1.0
// Sleepers: threads of any processes that wait for a condition in shared memory, and
// how to wake them only when there are some.
//
// A sleeper shows a bit, looks at the condition once more, and sleeps on the word of
// its bit, for a recheck interval at most. A waker takes a bit down and then wakes all
// that sleep on its word. A bit may stand for several threads, or for a dead one: that
// costs a wake for nothing, and the recheck interval makes good for one that a dead or
// stopped sleeper swallowed.
//
// They are neither WaiterSlots (sync/waiter_slots.hpp) nor the WorkerSet of the process
// pool's board, though all three look alike. Here no bit says whose it is, so any
// number of threads of any processes may sleep and die and nothing is to be cleaned up,
// but a wake goes to no one in particular; a slot there names its waiter, for exact
// wakes in order and notices that outlive their receiver; a bit of the WorkerSet is one
// worker's, which the parent clears when that worker dies.
#pragma once

#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include "os/fence.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

#include <array>
#include <atomic>
#include <bit>
#include <cstdint>

namespace mp::detail {

/// Zeroed memory is an empty set. All members are for any process.
class Sleepers {
public:
    /// Waits until `ready()`, which may be asked often; false at the deadline. It is
    /// looked at after each recheck interval at the latest. `check()` is asked once for
    /// each sleep, and may end the wait, too: by true, or by what it throws.
    template <class Ready, class Check>
    bool wait(const Deadline& deadline, Ready ready, Progress progress, Check check) {
        // Beside other processes, a hundred yields may take longer than the deadline.
        const auto done = [&] {
            return ready() || deadline.expired();
        };
        if (spin(done, longest_pause, progress) && ready()) {
            return true;
        }
        for (;;) {
            const unsigned bit = bit_of_this_thread();
            FutexWord& word = words_[bit];
            const std::uint32_t seen = word.load();
            awaiting_.fetch_or(std::uint64_t{1} << bit);
            // order: seq_cst, as the fence in wake_one(): either we see that it is
            // ready, or the waker sees the bit. The looks in ready() are weaker.
            os::full_fence();
            if (ready()) {
                return true;
            }
            if (deadline.expired()) {
                return false;
            }
            futex_wait(
                word, seen, deadline.sooner(recheck_interval), FutexScope::shared
            );
            if (ready() || check()) {
                return true;
            }
        }
    }

    /// After the condition has changed for one of them.
    void wake_one() noexcept {
        os::full_fence();
        // order: relaxed, the fence orders it.
        if (awaiting_.load(std::memory_order_relaxed) != 0) [[unlikely]] {
            wake(1);
        }
    }

    void wake_all() noexcept {
        os::full_fence();
        // order: relaxed, the fence orders it.
        if (awaiting_.load(std::memory_order_relaxed) != 0) {
            wake(64);
        }
    }

private:
    /// 38 ns each, where it was measured: what a wait may be longer for it.
    static constexpr int longest_pause = 4;

    static unsigned bit_of_this_thread() noexcept;

    void wake(int bits) noexcept;

    alignas(64) std::atomic<std::uint64_t> awaiting_;
    std::array<FutexWord, 64> words_;
};

}  // namespace mp::detail
