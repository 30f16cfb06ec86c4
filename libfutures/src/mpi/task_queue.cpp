// SPDX-License-Identifier: BSL-1.0
#include "mpi/task_queue.hpp"

#include <new>
#include <utility>

namespace futures::detail {

bool TaskQueue::add(BoardTask& task) noexcept {
    task.turn = turns_++;
    if (task.priority != 0 || !ranked_.empty()) {
        if (!rank_all() || !ranked_.add(task)) {
            return false;
        }
    } else {
        line_.push_back(task);
    }
    ++size_;
    return true;
}

bool TaskQueue::add_again(BoardTask& task) noexcept {
    if (task.not_before > Clock::now()) {
        try {
            later_.emplace(task.not_before, &task);
        } catch (const std::bad_alloc&) {
            return false;
        }
        task.waits_apart = true;
    } else if (task.priority != 0 || !ranked_.empty()) {
        task.turn = --front_turns_;
        if (!rank_all() || !ranked_.add(task)) {
            return false;
        }
    } else {
        task.turn = --front_turns_;
        line_.push_front(task);
    }
    ++size_;
    return true;
}

/// From here on, until it is empty, all are ranked; without memory for that, none.
bool TaskQueue::rank_all() noexcept {
    while (!line_.empty()) {
        BoardTask& task = line_.pop_front();
        if (!ranked_.add(task)) {
            TaskList rest;
            std::swap(rest, line_);
            ranked_.move_all_to(line_);
            line_.push_back(task);
            while (!rest.empty()) {
                line_.push_back(rest.pop_front());
            }
            return false;
        }
    }
    return true;
}

BoardTask* TaskQueue::take(Clock::time_point now) noexcept {
    BoardTask* task = nullptr;
    if (!later_.empty() && later_.begin()->first <= now) {
        task = later_.begin()->second;
        later_.erase(later_.begin());
        task->waits_apart = false;
    } else if (!ranked_.empty()) {
        task = &ranked_.take();
    } else if (!line_.empty()) {
        task = &line_.pop_front();
    }
    size_ -= task != nullptr ? 1 : 0;
    return task;
}

void TaskQueue::remove(BoardTask& task) noexcept {
    --size_;
    if (task.waits_apart) {
        task.waits_apart = false;
        const auto [first, last] = later_.equal_range(task.not_before);
        for (auto at = first; at != last; ++at) {
            if (at->second == &task) {
                later_.erase(at);
                return;
            }
        }
    } else if (!ranked_.empty()) {
        ranked_.remove(task);
    } else {
        line_.remove(task);
    }
}

BoardTask* TaskQueue::take_any() noexcept {
    return take(Clock::time_point::max());
}

}  // namespace futures::detail
