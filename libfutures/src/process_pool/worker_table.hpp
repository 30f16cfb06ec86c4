// SPDX-License-Identifier: BSL-1.0
// WorkerTable: the processes of a pool's workers, by index.
// Python:  ProcessPoolExecutor._processes.
// Threads: none of its own; the pool's mutex guards it.
#pragma once

#include "futures/errors.hpp"
#include "mp/process.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace futures::detail {

/// Why the pool itself killed a worker.
enum class Condemned : std::uint8_t {
    no,
    stopped,     ///< its task ran too long, or was cancelled
    faulty,      ///< it wrote over what it shares with the pool
    slow_start,  ///< its initializer took too long
    slow_end,    ///< its finalizer took too long
};

/// What of a worker's life has a time limit of the pool.
enum class Step : std::uint8_t { none, start, end };

struct Worker {
    std::unique_ptr<mp::Process> process;  ///< null: none
    int sentinel = -1;
    Condemned condemned = Condemned::no;
    bool out_of_memory = false;   ///< it has ended, and the kernel has done it
    bool unkillable = false;      ///< the log has it
    bool began = false;           ///< it was seen to take tasks
    bool retiring = false;        ///< was told to end, behind its task
    bool told_to_retire = false;  ///< once; it may since have been told to stay
    Step step = Step::none;
    mp::Deadline step_end{mp::forever};
};

/// "worker 'NAME' (pid N) was killed by signal 9 (SIGKILL)". Requires: it has ended.
std::string end_of_worker(const Worker& worker);

/// The same with what else a report tells in one line.
std::string end_of_worker(const Worker& worker, const CrashReport& report);

class WorkerTable {
public:
    explicit WorkerTable(std::uint32_t size) : workers_(size) {}

    /// The lowest `count` indices that have no process, or as many as there are.
    std::vector<std::uint32_t> free_indices(std::size_t count) const;

    /// Requires: the index is free, the process was started.
    Worker& add(std::uint32_t index, std::unique_ptr<mp::Process> process);

    /// What stands there, which is free from now on.
    Worker take(std::uint32_t index) noexcept;

    Worker& at(std::uint32_t index) noexcept { return workers_[index]; }

    /// How many processes there are.
    std::size_t count() const noexcept;

    std::vector<pid_t> pids() const;

    /// Those that are stopped go on.
    void resume_all() const noexcept;

    /// SIGKILL, or SIGTERM, with which a stopped process goes on. To one that has
    /// ended: nothing.
    static void send(const mp::Process& process, int signal) noexcept;

private:
    static void resume(const mp::Process& process) noexcept;

    std::vector<Worker> workers_;
};

}  // namespace futures::detail
