// SPDX-License-Identifier: BSL-1.0
// Tasks that run longer than they may: their workers are killed, and nothing else ends.
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <fstream>
#include <system_error>
#include <utility>

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
bool stop(int pidfd) {
    try {
        os::pidfd_send_signal(pidfd, SIGSTOP);
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

/// Not by a worker that died before it began.
bool was_seen(const PoolTask& task) {
    return task.seen_running && task.seen_position == task.position;
}

bool is_overdue(const PoolTask& task) {
    return was_seen(task) && std::chrono::steady_clock::now() - *task.seen_running >=
                                 task.time_limit.duration();
}

}  // namespace

void ProcessPool::stop_overdue_tasks() noexcept {
    try {
        // What ended in time is not late because we are.
        board_.drain();
        for (const std::uint32_t index : overdue_workers()) {
            stop_if_overdue(index);
        }
    } catch (const std::exception& error) {
        // The timer comes again and again, and so does what goes wrong.
        if (!std::exchange(limits_failed_, true)) {
            mp::detail::log_error(
                std::string("cannot stop a task that runs too long: ") + error.what()
            );
        }
    }
}

std::vector<std::uint32_t> ProcessPool::overdue_workers() {
    std::vector<std::uint32_t> overdue;
    board_.visit_taken([&](BoardTask& any, std::uint32_t worker) {
        auto& task = static_cast<PoolTask&>(any);
        if (task.time_limit.is_forever() || task.timed_out) {
            return;
        }
        if (!was_seen(task)) {
            task.seen_running = std::chrono::steady_clock::now();
            task.seen_position = task.position;
        } else if (is_overdue(task)) {
            overdue.push_back(worker);
        }
    });
    return overdue;
}

/// The worker may finish the task in this very moment and begin the next one, which
/// must not die for it: it is stopped first, and killed if it still runs the late one.
/// One that may no longer be stopped is killed by its lifeline, and that moment
/// remains: the next task is then lost with its worker, as with any worker that dies.
void ProcessPool::stop_if_overdue(std::uint32_t index) {
    const MutexLock lock(mutex_);
    Worker& worker = workers_.at(index);
    if (!worker.process || worker.condemned != Condemned::no) {
        return;
    }
    const bool stopped = stop(worker.sentinel);
    if (stopped) {
        wait_until_it_stands(worker.process->pid(), worker.sentinel);
    }
    board_.drain();
    board_.visit_taken([&](BoardTask& any, std::uint32_t runner) {
        auto& task = static_cast<PoolTask&>(any);
        if (runner == index && !task.time_limit.is_forever() && is_overdue(task)) {
            task.timed_out = true;
            task.begun = true;
            worker.condemned = Condemned::out_of_time;
        }
    });
    if (worker.condemned != Condemned::no) {
        end_worker(worker, SIGKILL);
    } else if (stopped) {
        os::pidfd_send_signal(worker.sentinel, SIGCONT);
    }
}

void ProcessPool::recover_after_timeout(std::uint32_t index, const Worker& worker) {
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
    mp::detail::log_info(
        "worker '" + worker.process->name() +
        "' was killed because its task ran too long; it will be replaced"
    );
}

}  // namespace futures::detail
