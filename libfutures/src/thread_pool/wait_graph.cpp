// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/wait_graph.hpp"

#include "futures/detail/thread_task.hpp"
#include "futures/errors.hpp"

#include "os/per_process.hpp"

#include <algorithm>
#include <string>
#include <utility>

namespace futures::detail {

namespace {

/// Nothing moves in the cycle while the thread that found it is here, so the tasks are
/// still there.
[[noreturn]] void throw_deadlock(const std::vector<const Work*>& cycle) {
    std::string text = "this wait would never end: " + cycle.front()->name();
    for (std::size_t i = 1; i < cycle.size(); ++i) {
        text += (i == 1 ? " waits for " : ", which waits for ") + cycle[i]->name();
    }
    text += cycle.size() == 1 ? " waits for itself"
                              : ", which waits for " + cycle.front()->name();
    throw DeadlockError(text);
}

}  // namespace

WaitGraph& WaitGraph::of_this_process() {
    return mp::os::PerProcess<WaitGraph>::get();
}

void WaitGraph::enter(WaitingThread& thread, const Wait& wait) {
    Tasks cycle;
    {
        const mp::detail::MutexLock lock(mutex_);
        thread.wait_ = &wait;
        enter_frames(thread);
        if (wait.is_forever()) {
            try {
                cycle = find_cycle(thread);
            } catch (...) {  // no memory to tell it with
                thread.wait_ = nullptr;
                throw;
            }
        }
        if (cycle.empty()) {
            link(thread);
            return;
        }
        thread.wait_ = nullptr;
    }
    throw_deadlock(cycle);
}

void WaitGraph::leave(WaitingThread& thread) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    thread.wait_ = nullptr;
    unlink(thread);
}

void WaitGraph::link(WaitingThread& thread) noexcept {
    thread.previous_ = nullptr;
    thread.next_ = first_;
    if (first_ != nullptr) {
        first_->previous_ = &thread;
    }
    first_ = &thread;
}

void WaitGraph::unlink(WaitingThread& thread) noexcept {
    // In a forked child it is in no list.
    if (thread.previous_ != nullptr) {
        thread.previous_->next_ = thread.next_;
    } else if (first_ == &thread) {
        first_ = thread.next_;
    } else {
        return;
    }
    if (thread.next_ != nullptr) {
        thread.next_->previous_ = thread.previous_;
    }
}

// Which thread runs a task

std::size_t WaitGraph::bucket_of(const Work* work) noexcept {
    // Tasks are at least as large as a line of the cache.
    return (reinterpret_cast<std::uintptr_t>(work) >> 6U) % bucket_count;
}

/// Those that were not there yet: the outer ones may be from an earlier wait.
void WaitGraph::enter_frames(WaitingThread& thread) noexcept {
    for (TaskFrame* frame = thread.innermost; frame != nullptr && !frame->entered;
         frame = frame->outer) {
        frame->thread = &thread;
        frame->entered = true;
        frame->next_in_bucket = std::exchange(frames_[bucket_of(frame->work)], frame);
    }
}

void WaitGraph::leave(TaskFrame& frame) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    frame.entered = false;
    // In a forked child it is not there.
    for (TaskFrame** at = &frames_[bucket_of(frame.work)]; *at != nullptr;
         at = &(*at)->next_in_bucket) {
        if (*at == &frame) {
            *at = frame.next_in_bucket;
            return;
        }
    }
}

/// Where the task is on a stack whose thread sleeps without a deadline; null when
/// something else can settle the future.
const TaskFrame* WaitGraph::runner_of(StateBase& state) {
    const Work* const work = state.as_work();
    if (work == nullptr || state.done()) {
        return nullptr;
    }
    for (const TaskFrame* frame = frames_[bucket_of(work)]; frame != nullptr;
         frame = frame->next_in_bucket) {
        if (frame->work == work) {
            const Wait* const wait = frame->thread->wait_;
            return wait != nullptr && wait->is_forever() ? frame : nullptr;
        }
    }
    return nullptr;
}

// Cycles

/// A thread goes on when one of the futures it sleeps for is done. So it sleeps for
/// ever when all ways from it lead to threads that sleep, and none of them elsewhere.
/// The tasks of one way that leads back, in their order; none if there is an end.
WaitGraph::Tasks WaitGraph::find_cycle(WaitingThread& closing) {
    const std::uint64_t search = ++searches_;
    closing.seen_ = search;
    closing.to_visit_ = nullptr;
    WaitingThread* last = &closing;
    const WaitingThread* closed_by = nullptr;
    const TaskFrame* closed_at = nullptr;
    for (WaitingThread* at = &closing; at != nullptr; at = at->to_visit_) {
        const Wait& wait = *at->wait_;
        if (wait.size() == 0) {
            return {};
        }
        for (std::size_t i = 0; i < wait.size(); ++i) {
            StateBase* const state = wait.future(i);
            if (state == nullptr) {
                continue;
            }
            const TaskFrame* const frame = runner_of(*state);
            if (frame == nullptr) {
                return {};
            }
            WaitingThread& next = *frame->thread;
            if (&next == &closing && closed_by == nullptr) {
                closed_by = at;
                closed_at = frame;
            }
            if (next.seen_ != search) {
                next.seen_ = search;
                next.came_from_ = at;
                next.came_to_ = frame;
                next.to_visit_ = nullptr;
                last = last->to_visit_ = &next;
            }
        }
    }
    Tasks cycle;
    if (closed_by == nullptr) {
        return cycle;  // every future has ended
    }
    // From the end: the tasks on each stack, the innermost first.
    const auto add = [&cycle](const WaitingThread& thread, const TaskFrame* until) {
        for (const TaskFrame* frame = thread.innermost;; frame = frame->outer) {
            cycle.push_back(frame->work);
            if (frame == until) {
                return;
            }
        }
    };
    for (const WaitingThread* at = closed_by; at != &closing; at = at->came_from_) {
        add(*at, at->came_to_);
    }
    add(closing, closed_at);
    std::reverse(cycle.begin(), cycle.end());
    return cycle;
}

/// In the queue of a pool whose threads may all sleep.
Work* WaitGraph::wanted_of(std::uint32_t pool) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    for (const WaitingThread* at = first_; at != nullptr; at = at->next_) {
        for (std::size_t i = 0; i < at->wait_->size(); ++i) {
            StateBase* const state = at->wait_->future(i);
            Work* const work = state == nullptr ? nullptr : state->as_work();
            if (work != nullptr && work->queued_in() == pool && !work->is_begun()) {
                work->keep();
                return work;
            }
        }
    }
    return nullptr;
}

}  // namespace futures::detail
