// SPDX-License-Identifier: BSL-1.0
// Tasks that run longer than they may, and tasks that are cancelled while they run: who
// they are, and when something is to be done about them. What is done is the ladder
// (process_pool_ladder.cpp). docs/protocols/kill_ladder.md is the protocol.
#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <algorithm>
#include <utility>

namespace futures::detail {

/// The manager, whenever it was woken: by the timer, by the worker that begins a
/// limited task, by a client that cancels one.
void ProcessPool::watch_tasks() noexcept {
    if (!board_.take_look_wanted()) {
        return;
    }
    try {
        look_at_tasks();
    } catch (const std::exception& error) {
        // What goes wrong may do so again and again.
        if (!std::exchange(watch_failed_, true)) {
            mp::detail::log_error(std::string("cannot stop a task: ") + error.what());
        }
        constexpr std::chrono::milliseconds again{100};
        board_.end_look(std::chrono::steady_clock::now() + again);
    }
}

void ProcessPool::look_at_tasks() {
    // What ended in time is not late because we are.
    board_.drain();
    board_.begin_look();
    const Time now = std::chrono::steady_clock::now();
    Time next = Time::max();
    std::vector<std::uint32_t> due;
    board_.visit_taken([&](BoardTask& any, std::uint32_t worker) {
        auto& task = static_cast<PoolTask&>(any);
        if (task.stop == TaskStop::no && !task.has_limit()) {
            return;
        }
        const Time when = next_step(task, worker, now);
        if (when <= now) {
            due.push_back(worker);
        } else {
            next = std::min(next, when);
        }
    });
    for (const std::uint32_t worker : due) {
        next = std::min(next, strike(worker));
    }
    board_.end_look(next);
}

namespace {

/// Since when the task runs. What its worker says is taken if it can be true.
void note_start(
    TaskControl& control,
    std::uint64_t position,
    std::optional<TaskControl::Clock::time_point> told,
    TaskControl::Clock::time_point now
) {
    const bool possible = told && *told <= now && *told >= control.submitted;
    if (control.seen_position != position) {
        control.seen_position = position;
        control.started = possible ? *told : now;
    } else if (possible) {
        // Seen when it was claimed; the worker was slow to tell, or stopped.
        control.started = std::min(control.started, *told);
    }
}

}  // namespace

/// When something is to be done about this task: now, later or never. Asks it to stop
/// when it is time.
ProcessPool::Time
ProcessPool::next_step(PoolTask& task, std::uint32_t index, Time now) {
    Ladder& ladder = ladders_[index];
    if (ladder.position != task.position) {
        ladder = Ladder();
        ladder.position = task.position;
    }
    if (task.stop == TaskStop::no) {
        TaskControl& control = *task.control;
        note_start(
            control, task.position, board_.limited_since(index, task.position), now
        );
        const Time end = control.started + control.limit.duration();
        if (end > now) {
            return end;
        }
        task.stop = TaskStop::timeout;
    }
    if (ladder.rung == Ladder::Rung::none) {
        ask_to_stop(task, index, now);
    }
    return ladder.next;
}

/// Whether the worker, which is gone, had a task that was to stop.
bool ProcessPool::is_being_stopped(std::uint32_t index) {
    board_.drain();  // what it told before
    const Ladder& ladder = ladders_[index];
    return ladder.rung != Ladder::Rung::none && still_runs(index, ladder.position);
}

void ProcessPool::recover_stopped(std::uint32_t index, const Worker& worker) {
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
    mp::detail::log_info(
        end_of_worker(worker) +
        ", because its task ran too long or was cancelled; it will be replaced"
    );
}

}  // namespace futures::detail
