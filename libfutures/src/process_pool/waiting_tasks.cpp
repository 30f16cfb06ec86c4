// SPDX-License-Identifier: BSL-1.0
#include "process_pool/waiting_tasks.hpp"

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

}  // namespace futures::detail
