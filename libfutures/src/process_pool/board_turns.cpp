// SPDX-License-Identifier: BSL-1.0
// Tasks of the board that wait in the parent for more than a place: those that are run
// again after they threw, those whose time has not come, those with priorities.
// With priorities the board holds no more ready tasks than there are workers: what is
// ready can be taken back until a worker claims it, so a task that comes later and is
// more urgent still runs before.
#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/fence.hpp"
#include "os/new_fd.hpp"
#include "process_pool/board.hpp"

#include <sys/timerfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;
using Clock = DelayedTasks::Clock;

// ---- run again after an exception

void Board::settle_thrown() noexcept {
    while (any_thrown_.load()) {
        BoardTask* task = nullptr;
        {
            const MutexLock lock(drain_mutex_);
            if (thrown_.empty()) {
                any_thrown_ = false;
                break;
            }
            task = &thrown_.pop_front();
        }
        const bool again = task->is_to_run_again();
        {
            const MutexLock draining(drain_mutex_);
            // It may have been cancelled meanwhile, as one that runs.
            if (!again || task->stop == TaskStop::cancelled || !put_back(*task)) {
                conclude(*task);
            }
        }
        refill();
    }
}

/// False when nothing is run any more.
bool Board::put_back(BoardTask& task) noexcept {
    const MutexLock lock(mutex_);
    if (failed_ || cancelling_) {
        return false;
    }
    task.failure = nullptr;
    task.end = TaskEnd::value;
    task.stop = TaskStop::no;
    task.begun = false;
    ++task.attempt;
    task.position = BoardTask::unplaced;
    queue_again(task);
    return true;
}

/// A task that was on the board before: it is the next one, unless it is to wait.
void Board::queue_again(BoardTask& task) noexcept {
    if (task.not_before != Clock::time_point() && delay(task)) {
        return;
    }
    backlog_size_.fetch_add(1);
    if (is_ranking_ && add_ranked(task)) {
        return;
    }
    backlog_.push_front(task);
}

// ---- delays

void Board::allow_delays(const std::function<void(int)>& watch) {
    const MutexLock lock(mutex_);
    if (!delay_timer_) {
        auto timer = mp::os::new_fd("timerfd_create", [] {
            return timerfd_create(CLOCK_MONOTONIC, TFD_NONBLOCK | TFD_CLOEXEC);
        });
        watch(timer.get());
        delay_timer_ = std::move(timer);
    }
}

bool Board::delay(BoardTask& task) noexcept {
    if (!delay_timer_ || !delayed_.add(task)) {
        task.not_before = {};
        return false;
    }
    task.waits_apart = true;
    delayed_count_.store(delayed_.size());
    arm_delay_timer();
    return true;
}

/// For the earliest.
void Board::arm_delay_timer() noexcept {
    itimerspec once{};
    if (!delayed_.empty()) {
        const auto at = std::max<std::chrono::nanoseconds>(
            delayed_.next().time_since_epoch(), std::chrono::nanoseconds(1)
        );
        const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(at);
        once.it_value.tv_sec = seconds.count();
        once.it_value.tv_nsec = (at - seconds).count();
    }
    timerfd_settime(delay_timer_.get(), TFD_TIMER_ABSTIME, &once, nullptr);
}

void Board::end_delays() noexcept {
    {
        const MutexLock lock(mutex_);
        const int timer = delay_timer_.get();
        std::uint64_t ticks = 0;
        mp::os::restarting([&] { return read(timer, &ticks, sizeof ticks); });
        while (BoardTask* const task = delayed_.take(Clock::now())) {
            task->waits_apart = false;
            task->not_before = {};
            queue_again(*task);
        }
        delayed_count_.store(delayed_.size());
        arm_delay_timer();
    }
    guard_timer_->arm();
    refill();
}

// ---- priorities

void Board::set_size(std::uint32_t workers) noexcept {
    size_ = workers;
    // order: a hint, as in cancel().
    if (backlog_size_.load(std::memory_order_relaxed) > 0) {
        refill();
    }
}

/// A task that is submitted while there are priorities.
void Board::submit_ranked(BoardTask& task, std::span<const std::byte> call) {
    if (!call.empty()) {
        task.message.assign(call);
    }
    if (!is_ranking_) {
        placed_priority_.resize(options_.slots);
        is_ranking_ = true;
        rank_all();
    }
    task.turn = ++turns_;
    if (!ranked_.add(task)) {
        throw std::bad_alloc();
    }
    task.waits_apart = true;
    backlog_size_.fetch_add(1);
    // order: pairs with drain_all(), as in put_in_backlog().
    mp::os::full_fence();
    take_back_below(task.priority);
    place_ranked();
}

bool Board::add_ranked(BoardTask& task) noexcept {
    if (task.turn == 0) {
        task.turn = 1;  // older than all that have got one since
    }
    if (!ranked_.add(task)) {
        return false;
    }
    task.waits_apart = true;
    take_back_below(task.priority);
    return true;
}

/// The first task with a priority has come: those that wait already get their turns.
void Board::rank_all() noexcept {
    turns_ = std::max<std::uint64_t>(turns_, 1);
    const std::uint64_t head = std::min(view_.header().head.load(), tail_);
    std::uint64_t first = tail_ > options_.slots ? tail_ - options_.slots : 0;
    for (first = std::max(first, head); first < tail_; ++first) {
        if (BoardTask* const task = take_back(first)) {
            task->turn = ++turns_;
            keep_or_rank(*task);
        }
    }
    TaskList behind;
    while (!backlog_.empty()) {
        BoardTask& task = backlog_.pop_front();
        task.turn = ++turns_;
        if (ranked_.add(task)) {
            task.waits_apart = true;
        } else {
            behind.push_back(task);
        }
    }
    std::swap(backlog_, behind);
}

void Board::keep_or_rank(BoardTask& task) noexcept {
    backlog_size_.fetch_add(1);
    if (ranked_.add(task)) {
        task.waits_apart = true;
    } else {
        backlog_.push_back(task);
    }
}

/// Tasks that no worker has, and that are less urgent.
void Board::take_back_below(int priority) noexcept {
    for (std::uint64_t at = first_ready(); at < tail_; ++at) {
        if (placed_priority_[index_of(at)] >= priority) {
            continue;
        }
        if (BoardTask* const task = take_back(at)) {
            ranked_.untake();
            keep_or_rank(*task);
        }
    }
}

/// The task at that position, if no worker has it; then it is on the board no more.
/// Until it is ours, a thread that drains may end it: it is not looked at before.
BoardTask* Board::take_back(std::uint64_t position) noexcept {
    const auto index = index_of(position);
    SlotWord ready = slot_word(position, SlotKind::ready);
    if (slots_[index].word.load() != ready) {
        return nullptr;
    }
    CallCopy call;
    const bool whole = copy_call(call, slots_[index].item, position);
    Message message;
    try {
        if (whole && call.place == MessagePlace::slot) {
            message.assign(call.message());
        }
    } catch (const std::bad_alloc&) {
        return nullptr;  // it is not in its turn, but it runs
    }
    // As in cancel(): a worker gets it, or we.
    if (!slots_[index].word.compare_exchange_strong(
            ready, slot_word(position, SlotKind::cancelled)
        )) {
        return nullptr;
    }
    BoardTask* const task = slot_tasks_[index].load();
    if (task == nullptr || task->position != position) {
        return nullptr;  // check_tasks() tells of it
    }
    if (!task->message.block() && !task->keep_message) {
        if (!whole || call.place != MessagePlace::slot) {
            report_damage("a call that no worker had");
            return nullptr;
        }
        task->message = std::move(message);
    }
    slot_tasks_[index].store(nullptr);
    task->position = BoardTask::unplaced;
    return task;
}

/// From here on there may be ready tasks.
std::uint64_t Board::first_ready() const noexcept {
    const std::uint64_t first = tail_ > options_.slots ? tail_ - options_.slots : 0;
    return std::max(first, std::min(view_.header().head.load(), tail_));
}

/// Ready tasks for all workers, and no more. Returns how many were placed.
std::uint64_t Board::place_ranked() noexcept {
    std::uint64_t ready = 0;
    for (std::uint64_t at = first_ready(); at < tail_; ++at) {
        ready += slots_[index_of(at)].word.load() == slot_word(at, SlotKind::ready);
    }
    std::uint64_t placed = 0;
    while (!ranked_.empty() && ready + placed < size_.load()) {
        BoardTask& task = ranked_.take();
        const int priority = task.priority;
        task.waits_apart = false;
        if (!place(task, {})) {
            task.waits_apart = ranked_.add(task);
            if (!task.waits_apart) {
                backlog_.push_back(task);
            }
            break;
        }
        placed_priority_[index_of(tail_ - 1)] = priority;
        ++placed;
    }
    // order: a hint, as in refill().
    backlog_size_.fetch_sub(placed, std::memory_order_relaxed);
    if (ranked_.empty()) {
        is_ranking_ = false;
    }
    return placed;
}

/// One that is on no place of the board.
void Board::remove_waiting(BoardTask& task) noexcept {
    if (task.waits_apart && task.not_before != Clock::time_point()) {
        delayed_.remove(task);
        delayed_count_.store(delayed_.size());
        arm_delay_timer();
        return;
    }
    if (task.waits_apart) {
        ranked_.remove(task);
        is_ranking_ = !ranked_.empty();
    } else {
        backlog_.remove(task);
    }
    backlog_size_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
}

/// Of fail_all() and take_queued(): all of them are in the backlog then.
void Board::gather_waiting() noexcept {
    TaskList apart;
    delayed_.move_all_to(apart);
    ranked_.move_all_to(apart);
    delayed_count_.store(0);
    is_ranking_ = false;
    while (!apart.empty()) {
        BoardTask& task = apart.pop_front();
        task.waits_apart = false;
        backlog_.push_back(task);
    }
}

}  // namespace futures::detail
