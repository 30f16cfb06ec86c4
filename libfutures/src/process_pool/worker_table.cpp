// SPDX-License-Identifier: BSL-1.0
#include "process_pool/worker_table.hpp"

#include "os/pidfd.hpp"
#include "process_pool/crash_report.hpp"

#include <signal.h>

#include <algorithm>
#include <exception>
#include <utility>

namespace futures::detail {

std::string end_of_worker(const Worker& worker, const CrashReport& report) {
    const std::string who = "worker '" + worker.process->name() + "' (pid " +
                            std::to_string(worker.process->pid()) + ") ";
    if (worker.condemned == Condemned::faulty &&
        worker.process->exitcode() == -SIGKILL) {
        return who +
               "wrote over the memory that it shares with the pool, and was killed";
    }
    return who + report.cause();
}

std::string end_of_worker(const Worker& worker) {
    CrashReport report;
    set_end(report, worker.process->exitcode());
    return end_of_worker(worker, report);
}

std::vector<std::uint32_t> WorkerTable::free_indices(std::size_t count) const {
    std::vector<std::uint32_t> free;
    for (std::uint32_t i = 0; i < workers_.size() && free.size() < count; ++i) {
        if (!workers_[i].process) {
            free.push_back(i);
        }
    }
    return free;
}

Worker& WorkerTable::add(std::uint32_t index, std::unique_ptr<mp::Process> process) {
    Worker& worker = workers_[index];
    worker.process = std::move(process);
    worker.sentinel = worker.process->sentinel();
    return worker;
}

Worker WorkerTable::take(std::uint32_t index) noexcept {
    return std::exchange(workers_[index], {});
}

std::size_t WorkerTable::count() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        workers_.begin(),
        workers_.end(),
        [](const Worker& worker) { return worker.process != nullptr; }
    ));
}

std::vector<pid_t> WorkerTable::pids() const {
    std::vector<pid_t> pids;
    for (const Worker& worker : workers_) {
        if (worker.process) {
            pids.push_back(worker.process->pid());
        }
    }
    return pids;
}

void WorkerTable::resume_all() const noexcept {
    for (const Worker& worker : workers_) {
        if (worker.process) {
            resume(*worker.process);
        }
    }
}

void WorkerTable::send(const mp::Process& process, int signal) noexcept {
    try {
        const auto handle = process.handle();
        if (signal == SIGKILL) {
            handle.kill();
            return;
        }
        handle.terminate();
        resume(process);  // one that is stopped cannot end
    } catch (const std::exception&) {
        return;  // it has ended
    }
}

void WorkerTable::resume(const mp::Process& process) noexcept {
    try {
        // By its pidfd: the host may have reaped it, and its pid may be another's.
        mp::os::pidfd_send_signal(process.sentinel(), SIGCONT);
    } catch (const std::exception&) {
        return;  // it has ended
    }
}

}  // namespace futures::detail
