// SPDX-License-Identifier: BSL-1.0
// ThreadDuties: what a thread has to go on with while it waits for futures, because the
// very ones that it waits for may need it. A process pool's manager thread has such
// duties, and it runs callbacks, which may wait.
// Threads: each has its own; ring() is for any.
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/timeout.hpp"

namespace futures::detail {

class ThreadDuties {
public:
    ThreadDuties() = default;
    ThreadDuties(const ThreadDuties&) = delete;
    ThreadDuties& operator=(const ThreadDuties&) = delete;

    /// Those of this thread; null for most, and in a forked child, which would do the
    /// parent's.
    static ThreadDuties* of_this_thread() noexcept {
        ThreadDuties* const duties = slot();
        return duties != nullptr && duties->creator_.is_here() ? duties : nullptr;
    }

    void are_this_threads() noexcept { slot() = this; }

    /// Does what there is to do; sleeps until the deadline, ring(), or something to do.
    /// Throws mp::StateError when there will be nothing any more.
    virtual void turn(const mp::Deadline& deadline) = 0;

    /// Ends the sleep of turn(), or the next one at once.
    virtual void ring() noexcept = 0;

protected:
    ~ThreadDuties() = default;

private:
    static ThreadDuties*& slot() noexcept {
        thread_local ThreadDuties* duties = nullptr;
        return duties;
    }

    const mp::detail::Creator creator_;
};

}  // namespace futures::detail
