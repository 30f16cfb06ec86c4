// SPDX-License-Identifier: BSL-1.0
// Tasks of a thread pool that are to be run again later: until then they are in no
// thread and in no queue. The program's timer brings them back.
#include "futures/detail/retried_task.hpp"

#include "thread_pool/thread_pool_core.hpp"

#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

Aside put_aside(Work& work, std::chrono::nanoseconds delay) noexcept {
    return ThreadPool::of_this_thread()->put_aside(work, mp::Deadline(delay));
}

bool take_back(Work& work) noexcept {
    // A task that may have to wait has one from the start.
    ThreadControl* const control = work.control_if_any();
    if (control == nullptr) {
        return false;
    }
    const auto pool = ThreadPool::find(work.queued_in());
    return pool != nullptr && pool->take_back(*control);
}

void bring_back(ThreadControl& control) noexcept {
    if (const auto pool = ThreadPool::find(control.pool)) {
        pool->bring_back(control);
    }
}

Aside ThreadPool::put_aside(Work& work, mp::Deadline until) noexcept {
    ThreadControl& control = *work.control_if_any();
    bool cancels = false;
    bool is_broken = false;
    aside_.fetch_add(1);
    {
        const MutexLock lock(mutex_);
        cancels = cancelling_;
        is_broken = mode_.load() == Mode::broken;
        control.pool = number_;
        if (!cancels && !is_broken && timer_->add_for_its_return(control, until)) {
            control.aside = &work;
            control.previous_aside = nullptr;
            control.next_aside = first_aside_;
            if (first_aside_ != nullptr) {
                first_aside_->previous_aside = &control;
            }
            first_aside_ = &control;
            return {};
        }
    }
    if (!cancels && !is_broken) {
        queue_again(work);  // without memory: at once
    }
    one_less_aside();
    if (cancels) {
        return {.taken = false};
    }
    return is_broken ? Aside{.taken = false, .failure = broken()} : Aside();
}

/// Null when another thread has it.
Work* ThreadPool::take_from_aside(ThreadControl& control) noexcept {
    if (control.aside != nullptr) {
        (control.previous_aside != nullptr ? control.previous_aside->next_aside
                                           : first_aside_) = control.next_aside;
        if (control.next_aside != nullptr) {
            control.next_aside->previous_aside = control.previous_aside;
        }
    }
    return std::exchange(control.aside, nullptr);
}

/// One of those that wait, for good.
Work* ThreadPool::take_any_from_aside() noexcept {
    const MutexLock lock(mutex_);
    if (first_aside_ == nullptr) {
        return nullptr;
    }
    timer_->remove(*first_aside_);
    return take_from_aside(*first_aside_);
}

bool ThreadPool::take_back(ThreadControl& control) noexcept {
    {
        const MutexLock lock(mutex_);
        if (control.aside == nullptr) {
            return false;
        }
        timer_->remove(control);
        take_from_aside(control);
    }
    one_less_aside();
    return true;
}

void ThreadPool::bring_back(ThreadControl& control) noexcept {
    Work* work = nullptr;
    {
        const MutexLock lock(mutex_);
        work = take_from_aside(control);
    }
    if (work != nullptr) {
        queue_again(*work);
        one_less_aside();  // last: the pool's threads do not end before
    }
}

void ThreadPool::queue_again(Work& work) noexcept {
    work.may_be_begun();
    try {
        if (threads_.load() < max_workers_ && all_are_busy()) {
            need_worker();
        }
        if (!queue_.push_again(work)) {
            work.release();
        }
    } catch (...) {
        work.fail(std::current_exception());
        return;
    }
    idle_.wake_unless_one_searches();
    if (all_blocked_.load()) {  // as in submit()
        relieve();
    }
    if (mode_.load() == Mode::broken) {
        fail_queued();
    }
}

/// The pool waits for them when it ends.
void ThreadPool::one_less_aside() noexcept {
    if (aside_.fetch_sub(1) == 1 && mode_.load() != Mode::open) {
        idle_.wake_all();
    }
}

}  // namespace futures::detail
