// SPDX-License-Identifier: BSL-1.0
// TaskList: tasks in a row, linked through themselves, so that a list allocates
// nothing.
// Threads: as whoever has it says; it has no lock of its own.
#pragma once

#include "futures/detail/board_task.hpp"

namespace futures::detail {

class TaskList {
public:
    bool empty() const noexcept { return first_ == nullptr; }

    BoardTask* front() const noexcept { return first_; }

    void push_back(BoardTask& task) noexcept;
    void push_front(BoardTask& task) noexcept;
    BoardTask& pop_front() noexcept;
    void remove(BoardTask& task) noexcept;

private:
    BoardTask* first_ = nullptr;
    BoardTask* last_ = nullptr;
};

}  // namespace futures::detail
