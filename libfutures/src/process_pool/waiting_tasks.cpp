// SPDX-License-Identifier: BSL-1.0
#include "process_pool/waiting_tasks.hpp"

#include <climits>

#include <new>

namespace futures::detail {

bool DelayedTasks::add(BoardTask& task) noexcept {
    try {
        tasks_.insert(&task);
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void DelayedTasks::remove(BoardTask& task) noexcept {
    tasks_.erase(&task);
}

BoardTask* DelayedTasks::take(Clock::time_point now) noexcept {
    if (empty() || next() > now) {
        return nullptr;
    }
    BoardTask* const first = *tasks_.begin();
    tasks_.erase(tasks_.begin());
    return first;
}

void DelayedTasks::move_all_to(TaskList& list) noexcept {
    for (BoardTask* const task : tasks_) {
        list.push_back(*task);
    }
    tasks_.clear();
}

bool RankedTasks::add(BoardTask& task) noexcept {
    try {
        by_turn_.insert(&task);
        try {
            by_rank_.insert(&task);
        } catch (...) {
            by_turn_.erase(&task);
            throw;
        }
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void RankedTasks::remove(BoardTask& task) noexcept {
    if (*by_turn_.begin() == &task) {
        passes_ = 0;  // the next one has the longest wait from now on
    }
    by_turn_.erase(&task);
    by_rank_.erase(&task);
}

BoardTask& RankedTasks::take() noexcept {
    BoardTask* first = *by_rank_.begin();
    BoardTask* const oldest = *by_turn_.begin();
    if (first == oldest) {
        remove(*oldest);
        return *oldest;
    }
    if (passes_ >= most_passes) {
        remove(*oldest);
        oldest->priority = INT_MAX;  // no other takes its place again
        return *oldest;
    }
    ++passes_;
    remove(*first);
    return *first;
}

void RankedTasks::move_all_to(TaskList& list) noexcept {
    for (BoardTask* const task : by_rank_) {
        list.push_back(*task);
    }
    by_rank_.clear();
    by_turn_.clear();
    passes_ = 0;
}

}  // namespace futures::detail
