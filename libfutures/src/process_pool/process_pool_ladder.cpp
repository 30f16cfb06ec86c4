// SPDX-License-Identifier: BSL-1.0
// The ladder by which a task that runs is stopped: it is asked to, its worker gets
// SIGTERM, its worker gets SIGKILL. docs/protocols/kill_ladder.md is the protocol.
#include "process_pool/process_pool_core.hpp"
#include "process_pool/stopped_process.hpp"

#include <signal.h>

namespace futures::detail {

using mp::detail::MutexLock;
using namespace std::chrono_literals;

namespace {

/// That much later; never for a wait that has no end.
std::chrono::steady_clock::time_point
later(std::chrono::steady_clock::time_point now, mp::Timeout wait) {
    return wait.is_forever() ? std::chrono::steady_clock::time_point::max()
                             : now + wait.duration();
}

}  // namespace

/// The first rung: nothing that it does can harm another task.
void ProcessPool::ask_to_stop(PoolTask& task, std::uint32_t index, Time now) {
    Ladder& ladder = ladders_[index];
    mp::Timeout grace = 0s;
    if (task.control) {
        grace = task.control->grace;
        ladder.kill_after = task.control->kill_after;
    }
    board_.ask_to_stop(index, task.position);
    note_stopped(task);  // what it waits for is not to keep it
    ladder.rung = Ladder::Rung::asked;
    ladder.next = later(now, grace);
}

/// The deadly rungs. The worker may finish the task in this very moment and begin the
/// next one, which must not die for it: it is stopped first, and struck if it still
/// runs the one that is to stop. Returns when it is time for the next rung.
/// A worker that may no longer be stopped is killed by its lifeline, and that moment
/// remains: the next task is then lost with its worker, as with any worker that dies.
ProcessPool::Time ProcessPool::strike(std::uint32_t index) {
    const MutexLock lock(mutex_);
    Worker& worker = workers_.at(index);
    Ladder& ladder = ladders_[index];
    if (!worker.process || worker.condemned != Condemned::no ||
        ladder.rung == Ladder::Rung::killed) {
        return Time::max();
    }
    const StoppedProcess standing(worker.process->pid(), worker.sentinel);
    board_.drain();
    if (still_runs(index, ladder.position)) {
        strike_standing(worker, ladder, standing.is_stopped());
        return ladder.next;
    }
    return Time::max();
}

/// Whether that worker has the task at that position, which is to stop. If so it counts
/// as begun: a worker that dies from now on takes it along.
bool ProcessPool::still_runs(std::uint32_t index, std::uint64_t position) {
    bool found = false;
    board_.visit_taken([&](BoardTask& task, std::uint32_t runner) {
        if (runner == index && task.position == position && task.stop != TaskStop::no) {
            task.begun = true;
            found = true;
        }
    });
    return found;
}

/// When it throws, the rung is where it was: it is tried again.
void ProcessPool::strike_standing(Worker& worker, Ladder& ladder, bool may_signal) {
    const bool at_once =
        ladder.kill_after.duration() == std::chrono::nanoseconds::zero();
    if (ladder.rung == Ladder::Rung::asked && may_signal && !at_once) {
        // It comes before any instruction of the worker's: before the task's end, and
        // before another task. With it the worker goes on.
        end_worker(*worker.process, SIGTERM);
        ladder.rung = Ladder::Rung::terminated;
        ladder.next = later(std::chrono::steady_clock::now(), ladder.kill_after);
        return;
    }
    end_worker(*worker.process, SIGKILL);
    ladder.rung = Ladder::Rung::killed;
    ladder.next = Time::max();
    worker.condemned = Condemned::stopped;
}

}  // namespace futures::detail
