// SPDX-License-Identifier: BSL-1.0
// DelayedTasks: tasks that wait in the parent for something else than a place on the
// board: for their time. Those that wait for their turn among others are RankedTasks.
// Threads: as whoever has them says; they have no lock of their own.
#pragma once

#include "futures/detail/board_task.hpp"

#include "process_pool/task_list.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <set>

namespace futures::detail {

/// Tasks that are run again, later: until their `not_before`.
class DelayedTasks {
public:
    using Clock = std::chrono::steady_clock;

    bool empty() const noexcept { return tasks_.empty(); }

    std::size_t size() const noexcept { return tasks_.size(); }

    /// False without memory; then nothing happened.
    bool add(BoardTask& task) noexcept;
    void remove(BoardTask& task) noexcept;

    /// Requires: not empty.
    Clock::time_point next() const noexcept { return (*tasks_.begin())->not_before; }

    /// The first, if its time has come; else null. It is removed.
    BoardTask* take(Clock::time_point now) noexcept;

    /// All of them, whatever their time.
    void move_all_to(TaskList& list) noexcept;

private:
    struct Sooner {
        bool operator()(const BoardTask* a, const BoardTask* b) const noexcept {
            return a->not_before != b->not_before ? a->not_before < b->not_before
                                                  : a < b;
        }
    };

    std::set<BoardTask*, Sooner> tasks_;
};

}  // namespace futures::detail
