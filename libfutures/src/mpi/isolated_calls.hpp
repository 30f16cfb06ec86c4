// SPDX-License-Identifier: BSL-1.0
// IsolatedCalls: the tasks of one executor at a rank, run in worker processes of that
// rank's. A call goes to them as it came, and what it wrote goes back as it stands in
// their memory: nothing is decoded here.
// Threads: the rank's; what ends is put down by the pool's manager thread.
#pragma once

#include "futures/detail/process_task.hpp"
#include "futures/process_pool_options.hpp"
#include "mp/thread_safety.hpp"

#include "mpi/bell.hpp"
#include "mpi/frame.hpp"
#include "process_pool/task_list.hpp"

#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <unordered_map>

namespace futures::detail {

class ProcessPool;

/// A task that came over MPI, in the rank's own pool.
class RelayedTask;

class IsolatedCalls {
public:
    /// `neighbours`: the job's ranks on this machine, which share its processors.
    /// Throws as ProcessPoolExecutor.
    IsolatedCalls(
        std::shared_ptr<Bell> bell,
        const OpenExecutor& open,
        int neighbours,
        std::span<const std::byte> initializer
    );

    IsolatedCalls(const IsolatedCalls&) = delete;
    IsolatedCalls& operator=(const IsolatedCalls&) = delete;
    /// Ends the workers, and waits for that.
    ~IsolatedCalls();

    /// Starts all workers. Throws what that throws, and what an initializer threw.
    void bootup();

    std::uint32_t workers() const noexcept { return workers_; }

    /// Throws as ProcessPoolExecutor::submit().
    void submit(const MessageHead& head, std::span<const std::byte> message);

    /// Ends a task that runs, if it does.
    void stop(std::uint64_t task);

    /// An ended task; null: there is none. Give it to release() when it has been read.
    RelayedTask* take_ended() noexcept;

    /// Which frame it is, and its payload, which lives as long as the task does.
    FrameKind outcome(
        RelayedTask& task,
        mp::detail::ByteWriter& scratch,
        const std::string& where,
        std::span<const std::byte>& payload
    );
    /// That of its call, with how long it took.
    static MessageHead head_of(const RelayedTask& task) noexcept;

    void release(RelayedTask* task) noexcept;

    bool empty() const noexcept { return tasks_.empty(); }

private:
    friend class RelayedTask;

    void ended(RelayedTask& task) noexcept;

    const std::shared_ptr<Bell> bell_;
    const std::uint32_t workers_;
    std::shared_ptr<ProcessPool> pool_;
    std::unordered_map<std::uint64_t, RelayedTask*> tasks_;

    mp::detail::Mutex mutex_;
    TaskList ended_ MP_GUARDED_BY(mutex_);
};

}  // namespace futures::detail
