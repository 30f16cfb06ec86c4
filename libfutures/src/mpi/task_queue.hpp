// SPDX-License-Identifier: BSL-1.0
// TaskQueue: the tasks of an executor that have not been sent, in the order in which
// they are: by priority, where any has one, and otherwise as they came. Those that are
// run again later wait beside it for their time.
// Threads: as whoever has it says; it has no lock of its own.
#pragma once

#include "executor/ranked_tasks.hpp"
#include "process_pool/task_list.hpp"

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <map>

namespace futures::detail {

class TaskQueue {
public:
    using Clock = std::chrono::steady_clock;

    bool empty() const noexcept { return size_ == 0; }

    /// Those that wait for their time, too.
    std::size_t size() const noexcept { return size_; }

    /// A new one. False without memory, which only a priority takes.
    bool add(BoardTask& task) noexcept;

    /// One that is run again: at its time, before others. False without memory.
    bool add_again(BoardTask& task) noexcept;

    /// The next one; null: none, or all wait for their time.
    BoardTask* take(Clock::time_point now) noexcept;

    /// Requires: it is here.
    void remove(BoardTask& task) noexcept;

    /// When the next one that waits for its time may be taken; max(): there is none.
    Clock::time_point next_time() const noexcept {
        return later_.empty() ? Clock::time_point::max() : later_.begin()->first;
    }

    /// The same, of those whose time has not come.
    Clock::time_point next_time_after(Clock::time_point now) const noexcept {
        const auto next = later_.upper_bound(now);
        return next == later_.end() ? Clock::time_point::max() : next->first;
    }

    /// Takes all, in no particular order; null: there is none left.
    BoardTask* take_any() noexcept;

private:
    bool rank_all() noexcept;

    TaskList line_;
    RankedTasks<BoardTask> ranked_;
    std::multimap<Clock::time_point, BoardTask*> later_;
    std::size_t size_ = 0;
    std::uint64_t turns_ = std::uint64_t{1} << 32U;
    std::uint64_t front_turns_ = std::uint64_t{1} << 32U;
};

}  // namespace futures::detail
