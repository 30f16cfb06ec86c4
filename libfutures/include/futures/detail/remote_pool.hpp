// SPDX-License-Identifier: BSL-1.0
// RemotePool: what the executors of other processes, here or on other machines, ask of
// their pool, and what its tasks do.
// Python:  none; what concurrent.futures.ProcessPoolExecutor and mpi4py.futures' pool
//          have in common.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "futures/detail/board_task.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/bytes.hpp"
#include "mp/detail/carried.hpp"

#include <cstddef>
#include <span>

namespace futures::detail {

class PoolTask;
class WaitingRoom;
class WaitingTask;

class RemotePool {
public:
    RemotePool() = default;
    RemotePool(const RemotePool&) = delete;
    RemotePool& operator=(const RemotePool&) = delete;
    virtual ~RemotePool() = default;

    // ---- for its executor

    /// Throws what submit() is to throw.
    virtual void check_accepting() const = 0;

    /// What the pool says where the options of a task say nothing. Throws
    /// std::invalid_argument for an option that this pool's tasks cannot have.
    virtual void complete(SubmitOptions& options) const = 0;

    /// Each task has a limit of its own: items of a map() travel one by one.
    virtual bool limits_each_task() const noexcept = 0;

    /// The task's reference is the pool's from now on. `call` is its message; empty if
    /// that stands in task.message already. One that is not `a_chunk` and does not fit
    /// its limit of memory has a failed future then. Throws as check_accepting().
    virtual void
    submit_call(PoolTask& task, std::span<const std::byte> call, bool a_chunk) = 0;

    /// Lets a task wait for what it depends on; it counts as submitted. Throws as
    /// check_accepting().
    virtual void await(WaitingTask& task) = 0;

    /// The executor is gone. Waits, unless this thread is the pool's own.
    virtual void close() noexcept = 0;

    // ---- for its tasks and their gates

    /// What their futures ask.
    virtual TaskBoard& task_board() noexcept = 0;

    /// cancel(running): stops a task that a worker has.
    virtual StopAnswer stop(PoolTask& task) = 0;

    /// A task is to stop, or ended by that.
    virtual void note_stopped(const PoolTask& /*task*/) noexcept {}

    /// Memory for `room` of a call that begins with `written`, which may stand in
    /// `block`: that is given up then. Throws mp::ResourceLimitExceeded,
    /// std::bad_alloc.
    virtual Block grow_call(
        Block& block,
        std::span<const std::byte> written,
        mp::detail::ByteStore::Room room
    ) = 0;

    /// What its workers have been given that processes share, and what to say of
    /// anything else.
    virtual const mp::detail::Carried& given() const noexcept = 0;
    virtual const char* not_given_text() const noexcept = 0;

    virtual WaitingRoom& waiting() noexcept = 0;

    /// As submit_call(), of one that waited, before it leaves the room. Throws what its
    /// future is to get.
    virtual void submit_waiting(PoolTask& task, std::span<const std::byte> call) = 0;

    /// Tells the future of a task that was never submitted how it ended, and leaves the
    /// callbacks to the pool's thread.
    virtual void conclude_unplaced(BoardTask& task) noexcept = 0;
};

}  // namespace futures::detail
