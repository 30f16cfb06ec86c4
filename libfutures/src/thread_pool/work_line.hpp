// SPDX-License-Identifier: BSL-1.0
// WorkLine: the work of a thread pool that waits, in the order in which it is taken:
// what has no priority in a WorkQueue, the rest beside it, where nobody looks while
// there is none. RankedTasks has the rule by which the two take turns.
// Threads: any.
#pragma once

#include "futures/detail/thread_control.hpp"
#include "futures/detail/thread_task.hpp"
#include "mp/thread_safety.hpp"

#include "executor/ranked_tasks.hpp"
#include "thread_pool/work_queue.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace futures::detail {

class WorkLine {
public:
    /// By its priority. Throws std::bad_alloc, and then nothing was added.
    void push(Work& work) {
        const ThreadControl* const control = work.control_if_any();
        if (control == nullptr || control->priority == 0) [[likely]] {
            plain_.push(work);
        } else {
            push_ranked(work, false);
        }
    }

    /// One that was taken before and is to be run again: the next one of its priority.
    /// Requires: it has a control. False when it stands there already, and has its
    /// reference. Throws as push().
    bool push_again(Work& work) { return push_ranked(work, true); }

    /// The next one; null when there is none, or the next one is just being added.
    Work* pop() noexcept {
        return ranked_size_.load() == 0 ? plain_.pop() : pop_by_rank();
    }

    /// See WorkQueue::take_begun().
    Work* take_begun() noexcept { return plain_.take_begun(); }

    /// A task that was begun without being taken. True when it stood here for its
    /// priority, and does no more: the reference is the caller's.
    bool take_out(Work& work) noexcept;

    /// As of WorkQueue.
    bool looks_empty() const noexcept {
        // order: relaxed, a hint; pop() looks again.
        return plain_.looks_empty() &&
               ranked_size_.load(std::memory_order_relaxed) == 0;
    }

    /// As of WorkQueue.
    bool is_empty() const noexcept {
        return ranked_size_.load() == 0 && plain_.is_empty();
    }

    /// How many were ever added, how many of these taken. What is to be run again does
    /// not count another time.
    std::uint64_t pushed() const noexcept {
        // order: relaxed, numbers for statistics.
        return plain_.pushed() + ranked_pushed_.load(std::memory_order_relaxed);
    }

    std::uint64_t popped() const noexcept {
        // order: relaxed, as above.
        return plain_.popped() + ranked_popped_.load(std::memory_order_relaxed);
    }

    /// How often one was added to be run again.
    std::uint64_t pushed_again() const noexcept {
        // order: relaxed, as above.
        return again_.load(std::memory_order_relaxed);
    }

private:
    /// What is to be run again has smaller turns than all others.
    static constexpr std::uint64_t first_turn = std::uint64_t{1} << 62U;

    bool push_ranked(Work& work, bool again);
    Work* pop_by_rank() noexcept;
    Work* pop_ranked(bool plain_waits) noexcept;
    Work& removed(ThreadControl& control) noexcept MP_REQUIRES(mutex_);

    WorkQueue plain_;

    // Written under mutex_.
    alignas(64) std::atomic<std::size_t> ranked_size_{0};
    std::atomic<std::uint64_t> ranked_pushed_{0};
    std::atomic<std::uint64_t> ranked_popped_{0};
    std::atomic<std::uint64_t> again_{0};

    mp::detail::Mutex mutex_;
    RankedTasks<ThreadControl> ranked_ MP_GUARDED_BY(mutex_);
    std::uint64_t turns_ MP_GUARDED_BY(mutex_) = first_turn;
    std::uint64_t returns_ MP_GUARDED_BY(mutex_) = 0;
};

}  // namespace futures::detail
