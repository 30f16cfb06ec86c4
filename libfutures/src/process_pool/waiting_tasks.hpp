// SPDX-License-Identifier: BSL-1.0
// DelayedTasks, RankedTasks: tasks that wait in the parent for something else than a
// place on the board: for their time, or for their turn among others.
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

/// Tasks in the order of their priorities, and of their turns within one. So that none
/// waits for ever, the one that has waited for longest is passed by `most_passes`
/// others at most; then it is the first, and keeps the highest priority.
class RankedTasks {
public:
    static constexpr std::uint32_t most_passes = 256;

    bool empty() const noexcept { return by_rank_.empty(); }

    /// False without memory; then nothing happened.
    bool add(BoardTask& task) noexcept;
    void remove(BoardTask& task) noexcept;

    /// The next one; it is removed. Requires: not empty.
    BoardTask& take() noexcept;

    /// A task that was taken comes back by add(), because a better one came.
    void untake() noexcept { passes_ -= passes_ > 0 ? 1 : 0; }

    void move_all_to(TaskList& list) noexcept;

private:
    struct Better {
        bool operator()(const BoardTask* a, const BoardTask* b) const noexcept {
            return a->priority != b->priority ? a->priority > b->priority
                   : a->turn != b->turn       ? a->turn < b->turn
                                              : a < b;
        }
    };

    struct Older {
        bool operator()(const BoardTask* a, const BoardTask* b) const noexcept {
            return a->turn != b->turn ? a->turn < b->turn : a < b;
        }
    };

    std::set<BoardTask*, Better> by_rank_;
    std::set<BoardTask*, Older> by_turn_;
    std::uint32_t passes_ = 0;  ///< of the one that has waited for longest
};

}  // namespace futures::detail
