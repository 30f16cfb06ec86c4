// SPDX-License-Identifier: BSL-1.0
// The ladder by which a task that runs is stopped: it is asked to, its worker gets
// SIGTERM, its worker gets SIGKILL. docs/protocols/kill_ladder.md is the protocol.
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process_pool/process_pool_core.hpp"

#include <signal.h>

#include <fstream>
#include <system_error>

namespace futures::detail {

using mp::detail::MutexLock;
using namespace std::chrono_literals;

namespace os = mp::os;

namespace {

/// A process that gets SIGSTOP stands within microseconds, unless it is in a system
/// call that cannot be interrupted; it will not conclude a task there either.
constexpr auto stop_grace = 50ms;

/// True once the process stands still or is gone.
bool stands_still(pid_t pid) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/stat");
    std::string line;
    std::getline(file, line);
    // "pid (name) state ...": the name may hold anything.
    const auto name_end = line.rfind(')');
    return name_end == std::string::npos || name_end + 2 >= line.size() ||
           std::string_view("TtZX").find(line[name_end + 2]) != std::string_view::npos;
}

/// False when it may not be: the worker or this process has become another user.
bool may_send(int pidfd, int signal) {
    try {
        os::pidfd_send_signal(pidfd, signal);
        return true;
    } catch (const std::system_error& error) {
        if (error.code() != std::errc::operation_not_permitted) {
            throw;
        }
        return false;
    }
}

void wait_until_it_stands(pid_t pid, int sentinel) {
    const mp::Deadline deadline(stop_grace);
    while (!stands_still(pid) && !deadline.expired() &&
           !os::wait_readable(sentinel, mp::Deadline(1ms))) {
    }
}

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
    const bool stopped = may_send(worker.sentinel, SIGSTOP);
    if (stopped) {
        wait_until_it_stands(worker.process->pid(), worker.sentinel);
    }
    board_.drain();
    if (still_runs(index, ladder.position)) {
        strike_standing(worker, ladder, stopped);
        return ladder.next;
    }
    if (stopped) {
        os::pidfd_send_signal(worker.sentinel, SIGCONT);
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

void ProcessPool::strike_standing(Worker& worker, Ladder& ladder, bool may_signal) {
    const bool at_once =
        ladder.kill_after.duration() == std::chrono::nanoseconds::zero();
    if (ladder.rung == Ladder::Rung::asked && may_signal && !at_once) {
        ladder.rung = Ladder::Rung::terminated;
        ladder.next = later(std::chrono::steady_clock::now(), ladder.kill_after);
        // It comes before any instruction of the worker's: before the task's end, and
        // before another task.
        send_deadly(worker, SIGTERM);
        os::pidfd_send_signal(worker.sentinel, SIGCONT);
        return;
    }
    ladder.rung = Ladder::Rung::killed;
    ladder.next = Time::max();
    worker.condemned = Condemned::stopped;
    send_deadly(worker, SIGKILL);
}

/// Every signal of the ladder that may end a worker goes through here.
void ProcessPool::send_deadly(const Worker& worker, int signal) {
    if (signal == SIGKILL) {
        worker.process->kill();  // by its lifeline where a signal may not be sent
    } else {
        os::pidfd_send_signal(worker.sentinel, signal);
    }
}

}  // namespace futures::detail
