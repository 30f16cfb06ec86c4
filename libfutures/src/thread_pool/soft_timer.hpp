// SPDX-License-Identifier: BSL-1.0
// SoftTimer: the one thread of a program that asks tasks of thread pools to stop when
// their time is up. It sleeps until the earliest of them; it is there while a pool is
// that was given a task with a limit.
// Threads: any.  Processes: in a forked child it is an empty shell.
#pragma once

#include "futures/detail/thread_control.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

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

    /// Asks that task to stop at its deadline, unless remove() comes first. False
    /// without memory.
    bool add(ThreadControl& control, std::uint32_t call) noexcept;
    void remove(ThreadControl& control) noexcept;

private:
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

}  // namespace futures::detail
