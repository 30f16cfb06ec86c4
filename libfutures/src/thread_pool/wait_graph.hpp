// SPDX-License-Identifier: BSL-1.0
// WaitGraph: which threads of which pools sleep for which tasks, to find cycles.
//
// A node is a thread that sleeps, with all tasks on its stack: they wait for what it
// waits for. A task is on at most one stack, so an edge leads from a thread to the
// thread that runs the task it sleeps for. A thread enters before it sleeps, so the one
// that closes a cycle finds it. All the others are asleep then: what is found stays
// true until this one goes.
//
// No end of a cycle, because something can still happen: a future that is done or made
// by hand, a task that is queued or that a thread runs which does not sleep, a wait
// with a deadline. What is to lead on from a task that is not begun, such as the tasks
// it depends on, belongs into WaitGraph::runner_of().
#pragma once

#include "mp/thread_safety.hpp"

#include "future/pool_thread.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <vector>

namespace futures::detail {

class Work;
class WaitingThread;

/// A task on the stack of a thread.
struct TaskFrame {
    Work* work = nullptr;
    TaskFrame* outer = nullptr;
    // Guarded by the graph's mutex; `entered` is written by the thread itself only.
    WaitingThread* thread = nullptr;
    TaskFrame* next_in_bucket = nullptr;
    bool entered = false;
};

/// A thread's place in the graph.
class WaitingThread {
public:
    // Used by the thread itself; by others while it waits, under the graph's mutex.
    TaskFrame* innermost = nullptr;

private:
    friend class WaitGraph;

    // Guarded by the graph's mutex.
    const Wait* wait_ = nullptr;
    WaitingThread* next_ = nullptr;
    WaitingThread* previous_ = nullptr;
    std::uint64_t seen_ = 0;              // the search that saw it
    WaitingThread* to_visit_ = nullptr;   // the next one in it
    WaitingThread* came_from_ = nullptr;  // and how it was reached
    const TaskFrame* came_to_ = nullptr;
};

class WaitGraph {
public:
    /// That of this process: a forked child begins with an empty one.
    static WaitGraph& of_this_process();

    /// Throws DeadlockError when it would close a cycle, and then it is not entered.
    void enter(WaitingThread& thread, const Wait& wait);
    void leave(WaitingThread& thread) noexcept;

    /// Before an entered frame goes.
    void leave(TaskFrame& frame) noexcept;

    /// A task in the queue of this pool that some thread sleeps for, with one reference
    /// more; null when there is none.
    Work* wanted_of(std::uint32_t pool) noexcept;

private:
    using Tasks = std::vector<const Work*>;

    static constexpr std::size_t bucket_count = 1024;

    void enter_frames(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    void link(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    void unlink(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    const TaskFrame* runner_of(StateBase& state) MP_REQUIRES(mutex_);
    Tasks find_cycle(WaitingThread& closing) MP_REQUIRES(mutex_);
    static std::size_t bucket_of(const Work* work) noexcept;

    mp::detail::Mutex mutex_;
    std::array<TaskFrame*, bucket_count> frames_ MP_GUARDED_BY(mutex_){};
    WaitingThread* first_ MP_GUARDED_BY(mutex_) = nullptr;
    std::uint64_t searches_ MP_GUARDED_BY(mutex_) = 0;
};

}  // namespace futures::detail
