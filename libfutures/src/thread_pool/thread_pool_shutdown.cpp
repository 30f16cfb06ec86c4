// SPDX-License-Identifier: BSL-1.0
// The end of a thread pool: shutdown(), the end of the program, a broken initializer,
// and what becomes of work that no thread will do.
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "executor/exit_hook.hpp"
#include "thread_pool/thread_pool_core.hpp"
#include "util/exit_function.hpp"

#include <utility>

namespace futures::detail {

void ThreadPool::register_for_exit() {
    check_not_exiting();
    exit_part_ = detail::finish_at_exit(weak_from_this());
}

void ThreadPool::check_not_exiting() {
    if (mp::detail::exiting()) {
        throw mp::StateError("no new work is accepted: the program is exiting");
    }
}

void ThreadPool::close(Mode mode) noexcept {
    Mode open = Mode::open;
    mode_.compare_exchange_strong(open, mode);
    idle_.wake_all();
}

void ThreadPool::shutdown(ShutdownOptions options) {
    if (!creator_.is_here()) {
        return;
    }
    if (options.wait && is_own_thread()) {
        throw mp::StateError(
            "shutdown(wait) inside a task of " + prefix_ + " would wait for itself"
        );
    }
    close(Mode::closed);
    if (options.cancel_futures) {
        cancel_queued();
    }
    if (options.wait) {
        join();
    }
}

void ThreadPool::finish_at_exit() noexcept {
    close(Mode::closed);
    // A task that exits the program is not waited for, and neither is what waits for
    // it.
    if (!is_own_thread()) {
        join();
    }
}

void ThreadPool::leave() noexcept {
    if (creator_.is_here()) {
        close(Mode::closed);
        mp::detail::drop_exit_part(exit_part_);
        join();
    }
}

/// All threads but the calling one.
void ThreadPool::join() noexcept {
    const mp::detail::MutexLock joining(join_mutex_);
    const Worker* joined = nullptr;
    for (;;) {
        Worker* newest = nullptr;
        {
            // Submitters add none any more; a thread that ends in the middle of a task
            // adds one before it can be joined.
            const mp::detail::MutexLock lock(mutex_);
            newest = newest_.load();
        }
        if (newest == joined) {
            return;
        }
        for (Worker* worker = newest; worker != joined; worker = worker->older) {
            if (!worker->thread.joinable()) {
                continue;
            }
            if (worker->thread.get_id() == std::this_thread::get_id()) {
                join_at_exit(std::move(worker->thread));
            } else {
                worker->thread.join();
            }
        }
        joined = newest;
    }
}

// Work that is left

void ThreadPool::break_with(std::exception_ptr cause) {
    {
        const mp::detail::MutexLock lock(mutex_);
        if (broken_cause_ == nullptr) {
            broken_cause_ = std::move(cause);
        }
        mode_ = Mode::broken;
    }
    idle_.wake_all();
    fail_queued();
}

/// Each future, and each submit(), gets an exception object of its own.
std::exception_ptr ThreadPool::broken() const {
    std::exception_ptr cause;
    {
        const mp::detail::MutexLock lock(mutex_);
        cause = broken_cause_;
    }
    return mp::detail::with_cause(
        BrokenThreadPool(
            "the initializer of a thread of " + prefix_ +
            " failed: the thread pool is not usable any more"
        ),
        cause
    );
}

void ThreadPool::fail_queued() {
    while (Work* const work = queue_.pop()) {
        work->fail(broken());
    }
}

void ThreadPool::cancel_queued() {
    while (Work* const work = queue_.pop()) {
        work->cancel_work();
    }
    std::vector<Work*> waiting;
    {
        const mp::detail::MutexLock lock(mutex_);
        cancelling_ = true;
        waiting = waiting_;
        for (Work* const work : waiting) {
            work->keep();
        }
    }
    for (Work* const work : waiting) {
        work->cancel_work();
    }
}

// Tasks that wait for their next call, each in its thread

bool ThreadPool::add_waiting(Work& work) {
    const mp::detail::MutexLock lock(mutex_);
    waiting_.push_back(&work);
    return !cancelling_;
}

void ThreadPool::remove_waiting(Work& work) noexcept {
    const mp::detail::MutexLock lock(mutex_);
    std::erase(waiting_, &work);
}

WaitingInThread::WaitingInThread(Work& work) : work_(work) {
    if (ThreadPool* const pool = ThreadPool::of_this_thread()) {
        is_to_end_ = !pool->add_waiting(work);
    }
}

WaitingInThread::~WaitingInThread() {
    if (ThreadPool* const pool = ThreadPool::of_this_thread()) {
        pool->remove_waiting(work_);
    }
}

}  // namespace futures::detail
