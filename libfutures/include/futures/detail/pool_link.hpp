// SPDX-License-Identifier: BSL-1.0
// PoolLink, NestedCallBase: a worker's link to the pool that it belongs to, and a call
// that one of its tasks has submitted there.
// Python:  none.
// Differs: nothing to differ from.
// Threads: as said.
#pragma once

#include "futures/detail/board_task.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/stop_answer.hpp"
#include "futures/detail/task_name.hpp"
#include "futures/executor.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/carried.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <span>

namespace futures::detail {

/// The part of such a call that does not depend on its result's type.
class NestedCallBase {
public:
    NestedCallBase() = default;
    NestedCallBase(const NestedCallBase&) = delete;
    NestedCallBase& operator=(const NestedCallBase&) = delete;

    virtual StateBase& future_state() noexcept = 0;

    /// Tells the future how the call ended: a value, an exception, or cancelled. True:
    /// finish_callbacks() is to be called; otherwise it may be gone.
    virtual bool settle(TaskEnd end, Message message) noexcept = 0;
    virtual bool settle(std::exception_ptr failure) noexcept = 0;
    virtual void finish_callbacks() = 0;

    // The link's own.
    std::uint64_t number = 0;
    std::atomic<bool> taken_back{false};  ///< cancelled before a worker had it

protected:
    ~NestedCallBase() = default;
};

/// What a worker knows of its pool.
struct LinkedPool {
    std::uint64_t longest_call = 0;  ///< bytes
    bool limits_tasks = false;       ///< it has a task_timeout
};

class PoolLink {
public:
    explicit PoolLink(const LinkedPool& pool) noexcept : pool_(pool) {}

    PoolLink(const PoolLink&) = delete;
    PoolLink& operator=(const PoolLink&) = delete;

    /// What processes share and a call may take along.
    virtual const mp::detail::Carried& given() const noexcept = 0;

    /// What the pool is like.
    const LinkedPool& pool() const noexcept { return pool_; }

    /// Any thread. Sends it; the executor's reference is the link's from now on.
    virtual void submit(
        NestedCallBase& call,
        const SubmitOptions& options,
        const TaskName& name,
        std::span<const std::byte> bytes
    ) = 0;

    // -- for the futures of its calls, any thread

    virtual bool cancel(NestedCallBase& call) noexcept = 0;
    virtual StopAnswer stop(NestedCallBase& call) = 0;
    virtual bool is_running(const NestedCallBase& call) const noexcept = 0;
    /// After cancel(): nothing comes for it any more. Drops the executor's reference.
    virtual void cancelled(NestedCallBase& call) noexcept = 0;

    /// Does what a thread can do that waits for it. True once it is done; false at the
    /// deadline, or when all that is left to do is to sleep on its future. Throws
    /// mp::StateError in a forked child.
    virtual bool help(NestedCallBase& call, const mp::Deadline& deadline) = 0;

protected:
    ~PoolLink() = default;

private:
    const LinkedPool pool_;
};

/// The link of the task that runs in this thread. Throws mp::StateError if that is none
/// of a process pool; std::system_error when no thread can be had for it.
PoolLink& this_pool_link();

/// Throws std::invalid_argument for an option that such a call cannot have.
void check_options_of_nested(const SubmitOptions& options);

/// Where the pool limits each task, items travel one by one. Throws as
/// this_pool_link().
MapOptions map_options_of_nested(MapOptions options);

/// Throws mp::ResourceLimitExceeded for a call that is longer than the pool can take.
void check_length(const PoolLink& link, std::uint64_t length);

/// Fails the future of a call that could not be encoded, with the exception that is
/// being handled.
void fail_unsent(NestedCallBase& call, const TaskName& name) noexcept;

}  // namespace futures::detail
