// SPDX-License-Identifier: BSL-1.0
// The end of a thread pool: shutdown(), the end of the program, a broken initializer,
// and what becomes of work that no thread will do.
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "executor/exit_hook.hpp"
#include "future/ready.hpp"
#include "thread_pool/thread_pool_core.hpp"
#include "util/exit_function.hpp"

#include <utility>

namespace futures::detail {

void ThreadPool::register_for_exit() {
    check_not_exiting();
    exit_part_ = detail::finish_at_exit(weak_from_this());
    can_be_found();
}

void ThreadPool::check_not_exiting() {
    if (mp::detail::exiting()) {
        throw mp::StateError("no new work is accepted: the program is exiting");
    }
}

void ThreadPool::close(Mode mode) noexcept {
    waiting_.close();  // first: a worker that sees the mode finds all that wait
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
        waiting_.cancel_all();
        cancel_queued();
    }
    if (options.wait) {
        waiting_.warn_of_hand_made(prefix_.c_str());
        join();
    }
}

void ThreadPool::finish_at_exit() noexcept {
    close(Mode::closed);
    // A task that exits the program is not waited for, and neither is what waits for
    // it.
    if (!is_own_thread()) {
        waiting_.warn_of_hand_made("the end of the program");
        join();
        drop_timer();
    }
}

/// No task of ours runs any more.
void ThreadPool::drop_timer() noexcept {
    std::shared_ptr<SoftTimer> timer;
    const mp::detail::MutexLock lock(mutex_);
    timer.swap(timer_);
}

void ThreadPool::leave() noexcept {
    if (creator_.is_here()) {
        close(Mode::closed);
        mp::detail::drop_exit_part(exit_part_);
        waiting_.warn_of_hand_made(prefix_.c_str());
        if (is_own_thread()) {
            leave_threads();
        } else {
            join();
        }
    }
}

/// In a task of its own, which what is left may depend on: the end of the program waits
/// for the threads, and for those that are still to be made.
void ThreadPool::leave_threads() noexcept {
    {
        const mp::detail::MutexLock lock(mutex_);
        left_ = true;
    }
    for (;;) {
        std::thread thread = thread_to_join();
        if (!thread.joinable()) {
            return;
        }
        join_at_exit(std::move(thread));
    }
}

/// All threads but the calling one. Submitters add none any more; a thread that ends in
/// the middle of a task, or that waits, adds one before it can be joined.
void ThreadPool::join() noexcept {
    Ready::run_all_here();
    const mp::detail::MutexLock joining(join_mutex_);
    for (;;) {
        std::thread thread = thread_to_join();
        if (!thread.joinable()) {
            return;
        }
        if (thread.get_id() == std::this_thread::get_id()) {
            join_at_exit(std::move(thread));
            const mp::detail::MutexLock lock(mutex_);
            left_ = true;
        } else {
            thread.join();
        }
    }
}

std::thread ThreadPool::thread_to_join() noexcept {
    const mp::detail::MutexLock lock(mutex_);
    for (Worker& worker : workers_) {
        if (worker.thread.joinable()) {
            return std::move(worker.thread);
        }
    }
    return {};
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
    waiting_.close();
    idle_.wake_all();
    fail_queued();
    waiting_.fail_all([this] { return broken(); });
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
    // Left first: what they tell may wait for the pool's end.
    while (Work* const work = take_any_from_aside()) {
        one_less_aside();
        work->fail(broken());
    }
}

void ThreadPool::cancel_queued() {
    while (Work* const work = queue_.pop()) {
        work->cancel_work();
    }
    {
        const mp::detail::MutexLock lock(mutex_);
        cancelling_ = true;
    }
    while (Work* const work = take_any_from_aside()) {
        one_less_aside();
        work->cancel_work();
    }
}

}  // namespace futures::detail
