// SPDX-License-Identifier: BSL-1.0
// WaitGraph: which threads of which pools sleep for which tasks, to find cycles.
//
// A node is a thread that sleeps, with all tasks on its stack: they wait for what it
// waits for. A task is on at most one stack, so an edge leads from a thread to the
// thread that runs the task it sleeps for. What depends on futures and has not begun
// is a node, too, from which edges lead to what makes those futures. A thread enters
// before it sleeps, so the one that closes a cycle finds it. All the others are asleep
// then: what is found stays true until this one goes.
//
// No end of a cycle, because something can still happen: a future that is done or made
// by hand, a task that is queued or that a thread runs which does not sleep, a wait
// with a deadline.
#pragma once

#include "mp/thread_safety.hpp"

#include "future/pool_thread.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <string>

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
    std::uint64_t seen_ = 0;  // the search that saw it
    std::size_t node_ = 0;    // and where it is in it
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

    /// A task in the queue of this pool that some thread sleeps for, or that what it
    /// sleeps for depends on, with one reference more; null when there is none.
    Work* wanted_of(std::uint32_t pool) noexcept;

private:
    class Search;

    static constexpr std::size_t bucket_count = 1024;

    void enter_frames(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    void link(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    void unlink(WaitingThread& thread) noexcept MP_REQUIRES(mutex_);
    const TaskFrame* runner_of(StateBase& state) MP_REQUIRES(mutex_);
    bool goes_on(const Wait& wait) MP_REQUIRES(mutex_);
    std::string find_cycle(WaitingThread& closing) MP_REQUIRES(mutex_);
    static std::size_t bucket_of(const Work* work) noexcept;

    mp::detail::Mutex mutex_;
    std::array<TaskFrame*, bucket_count> frames_ MP_GUARDED_BY(mutex_){};
    WaitingThread* first_ MP_GUARDED_BY(mutex_) = nullptr;
    std::uint64_t searches_ MP_GUARDED_BY(mutex_) = 0;
};

}  // namespace futures::detail
