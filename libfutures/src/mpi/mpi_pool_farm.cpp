// SPDX-License-Identifier: BSL-1.0
// The executor as the farm's thread sees it: what is sent next, what came of it, and
// how it ends.
#include "mp/remote_error.hpp"

#include "mpi/mpi_pool_core.hpp"
#include "util/exit_function.hpp"

#include <algorithm>
#include <new>
#include <thread>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

constexpr std::uint32_t usual_credits = 2;
constexpr std::uint32_t quick_credits = 16;
/// So many quick tasks let it be believed that others are.
constexpr std::uint32_t enough_quick = 32;

}  // namespace

/// One task runs; another one is there for when it ends, if that is soon: behind one
/// that takes long it would wait while other ranks have nothing to do.
std::uint32_t MPIPool::credits_at(const At& at) const noexcept {
    const std::uint32_t each =
        options_.credits ? static_cast<std::uint32_t>(options_.credits->value())
        : at.quick >= enough_quick ? quick_credits
        : at.is_short              ? usual_credits
                                   : 1;
    return each * std::max<std::uint32_t>(at.workers, 1);
}

PoolTask* MPIPool::take_next(std::uint64_t number, std::size_t peer) noexcept {
    const MutexLock lock(mutex_);
    // The time, which takes long to ask, matters to few.
    const bool any_waits = queue_.next_time() != TaskQueue::Clock::time_point::max();
    auto* const task = static_cast<PoolTask*>(queue_.take(
        any_waits ? TaskQueue::Clock::now() : TaskQueue::Clock::time_point()
    ));
    pending_ = queue_.size();
    if (task != nullptr) {
        task->position = number;
        ++counts_[peer].running;
        bytes_sent_ += task->message.bytes().size();
        if (options_.max_pending.value() != 0) {
            changed_.notify_all();
        }
    }
    return task;
}

void MPIPool::note_unsent(std::size_t peer) noexcept {
    const MutexLock lock(mutex_);
    --counts_[peer].running;
}

TaskQueue::Clock::time_point MPIPool::next_time(TaskQueue::Clock::time_point now
) const {
    const MutexLock lock(mutex_);
    return queue_.next_time_after(now);
}

void MPIPool::put_back(PoolTask& task, bool is_again) noexcept {
    {
        const MutexLock lock(mutex_);
        const bool is_to_stop = task.stop == TaskStop::cancelled;
        if (broken_.empty() && !is_to_stop && queue_.add_again(task)) {
            task.position = BoardTask::unplaced;
            pending_ = queue_.size();
            retried_ += is_again ? 1 : 0;
            return;
        }
        task.position = landed;
    }
    task.message.clear();
    if (task.stop == TaskStop::cancelled) {
        task.end = TaskEnd::cancelled;
    } else {
        task.end = TaskEnd::failed;
        task.failure = broken_error();
    }
    conclude(task);
}

void MPIPool::is_ready_at(std::size_t peer, std::uint32_t workers) noexcept {
    at_[peer].is_ready = true;
    at_[peer].workers = workers;
    const MutexLock lock(mutex_);
    ++ready_;
    changed_.notify_all();
}

void MPIPool::has_failed_at(
    std::size_t peer, const std::exception_ptr& cause
) noexcept {
    try {
        break_with(
            "the initializer of an MPIPoolExecutor failed in " +
                farm_->rank(peer).where() + ": " +
                mp::detail::describe_exception(cause),
            cause
        );
    } catch (const std::bad_alloc&) {
        break_with("an initializer failed", cause);
    }
}

void MPIPool::break_with(std::string what, const std::exception_ptr& cause) noexcept {
    {
        const MutexLock lock(mutex_);
        if (!broken_.empty()) {
            return;
        }
        broken_ = std::move(what);
        broken_cause_ = cause;
        accepting_ = false;
        changed_.notify_all();
    }
    waiting_.close();
    fail_queued();
    farm_->abandon_flights_of(*this);
    for (;;) {
        try {
            waiting_.fail_all([this] { return broken_error(); });
            return;
        } catch (const std::bad_alloc&) {
            std::this_thread::yield();  // whoever has memory may give some back
        }
    }
}

std::exception_ptr MPIPool::error_locked() const {
    BrokenMPIPool error(broken_);
    return broken_cause_ ? mp::detail::with_cause(std::move(error), broken_cause_)
                         : std::make_exception_ptr(std::move(error));
}

/// Without memory for it, and where it is not broken, std::bad_alloc.
std::exception_ptr MPIPool::broken_error() const noexcept {
    try {
        const MutexLock lock(mutex_);
        if (!broken_.empty()) {
            return error_locked();
        }
    } catch (const std::bad_alloc&) {
        return std::current_exception();
    }
    return std::make_exception_ptr(std::bad_alloc());
}

void MPIPool::fail_queued() noexcept {
    for (;;) {
        PoolTask* task = nullptr;
        {
            const MutexLock lock(mutex_);
            task = static_cast<PoolTask*>(queue_.take_any());
            pending_ = queue_.size();
            if (task == nullptr) {
                return;
            }
            task->position = landed;
        }
        task->message.clear();
        task->end = TaskEnd::failed;
        task->failure = broken_error();
        conclude(*task);
    }
}

bool MPIPool::note_answer(
    std::size_t peer, const Answer& answer, PoolTask* task
) noexcept {
    // Less than a message takes, and less than anybody notices.
    constexpr std::int64_t quick = 20'000;
    constexpr std::int64_t brief = 10'000'000;
    constexpr std::size_t small = 4096;
    At& at = at_[peer];
    const bool is_quick = !is_isolated() && answer.nanoseconds < quick &&
                          answer.sent < small && answer.received < small;
    at.quick = is_quick ? at.quick + 1 : 0;
    at.is_short = answer.nanoseconds < brief;
    const MutexLock lock(mutex_);
    MPIRankStatistics& count = counts_[peer];
    ++count.tasks;
    --count.running;
    count.busy += std::chrono::nanoseconds(answer.nanoseconds);
    bytes_received_ += answer.received;
    lost_ += answer.is_lost ? 1 : 0;
    if (task == nullptr) {
        return false;
    }
    task->position = landed;
    return task->stop == TaskStop::cancelled;
}

void MPIPool::conclude(PoolTask& task) noexcept {
    // First: whoever knows that it is done may ask.
    {
        const MutexLock lock(mutex_);
        ++concluded_;
    }
    farm_->conclude(task);
}

std::vector<std::uint64_t> MPIPool::take_stops() {
    stops_wanted_ = false;
    const MutexLock lock(mutex_);
    return std::exchange(stops_, {});
}

void MPIPool::refuse() noexcept {
    waiting_.close();
    const MutexLock lock(mutex_);
    shut_down_ = true;
    accepting_ = false;
    changed_.notify_all();
}

bool MPIPool::is_done() const {
    const MutexLock lock(mutex_);
    return (shut_down_ || !broken_.empty()) && queue_.empty() &&
           submitted_ == concluded_ && waiting_.empty() && flights == 0 && telling == 0;
}

void MPIPool::set_over() noexcept {
    int exit_part = 0;
    {
        const MutexLock lock(mutex_);
        exit_part = std::exchange(exit_part_, 0);
    }
    if (exit_part != 0 && !mp::detail::exiting()) {
        mp::detail::drop_exit_part(exit_part);
    }
    const MutexLock lock(mutex_);
    over_ = true;
    changed_.notify_all();
}

}  // namespace futures::detail
