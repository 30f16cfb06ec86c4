// SPDX-License-Identifier: BSL-1.0
#include "process_pool/task_list.hpp"

namespace futures::detail {

void TaskList::push_back(BoardTask& task) noexcept {
    task.next = nullptr;
    task.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &task;
    last_ = &task;
}

void TaskList::push_front(BoardTask& task) noexcept {
    task.previous = nullptr;
    task.next = first_;
    (first_ != nullptr ? first_->previous : last_) = &task;
    first_ = &task;
}

BoardTask& TaskList::pop_front() noexcept {
    BoardTask& task = *first_;
    remove(task);
    return task;
}

void TaskList::remove(BoardTask& task) noexcept {
    (task.previous != nullptr ? task.previous->next : first_) = task.next;
    (task.next != nullptr ? task.next->previous : last_) = task.previous;
    task.next = nullptr;
    task.previous = nullptr;
}

}  // namespace futures::detail
