// SPDX-License-Identifier: BSL-1.0
// SoftTimer: the one thread of a program that asks tasks of thread pools to stop when
// their time is up, and gives back to their queues those that wait to be run again. It
// sleeps until the earliest of them; it is there while a pool is that was given a task
// with a limit, or one that may have to wait.
// Threads: any.  Processes: in a forked child it is an empty shell.
#pragma once

#include "futures/detail/thread_control.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include <memory>
#include <thread>

namespace futures::detail {

class SoftTimer {
public:
    /// The program's; made if there is none. Throws std::system_error when no thread
    /// can be had.
    static std::shared_ptr<SoftTimer> of_program();

    SoftTimer();
    ~SoftTimer();
    SoftTimer(const SoftTimer&) = delete;
    SoftTimer& operator=(const SoftTimer&) = delete;

    /// Asks that task to stop at that time, unless remove() comes first, or it is not
    /// that call any more. False without memory.
    bool add(ThreadControl& control, mp::Deadline due, std::uint32_t call) noexcept {
        return add(control, due, call, false);
    }

    /// The same; it goes back to its pool's queue then.
    bool add_for_its_return(ThreadControl& control, mp::Deadline due) noexcept {
        return add(control, due, 0, true);
    }

    void remove(ThreadControl& control) noexcept;

private:
    bool
    add(ThreadControl& control, mp::Deadline due, std::uint32_t call, bool is_due_back
    ) noexcept;

    /// What the thread needs, and keeps when a task's callback ends the last pool.
    struct Core {
        void run();

        mp::detail::Mutex mutex;
        mp::detail::CondVar changed;
        ThreadControl::Timers timers MP_GUARDED_BY(mutex);
        bool ending MP_GUARDED_BY(mutex) = false;
    };

    const mp::detail::Creator creator_;
    const std::shared_ptr<Core> core_;
    std::thread thread_;
};

/// The rest of a task is over: it goes back to its pool's queue, if it still waits.
void bring_back(ThreadControl& control) noexcept;

}  // namespace futures::detail
