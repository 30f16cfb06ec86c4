// SPDX-License-Identifier: BSL-1.0
// NestedCalls: the tasks of a pool that its own tasks have submitted, and the links to
// the workers that wait for them: the parent's side of
// docs/protocols/nested_submission.md.
// Threads: the manager, unless said. Life: as the pool.
#pragma once

#include "futures/detail/process_task.hpp"
#include "futures/detail/state_ptr.hpp"
#include "mp/thread_safety.hpp"

#include "process_pool/board.hpp"
#include "process_pool/frame_ring.hpp"
#include "process_pool/link_messages.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace futures::detail {

class NestedCalls;

/// Where a nested task comes from.
struct NestedOrigin {
    std::uint32_t worker;
    std::uint64_t link;    ///< number of its process's link
    std::uint64_t number;  ///< by which that worker knows the call
    std::uint64_t owner;   ///< position of the task of the pool that it was part of
    bool detached;
};

/// The name of what a task calls; before the task.
struct NestedName {
    std::string type;
};

/// A task that a task has submitted. Its future is in a worker; here its end is sent
/// there.
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class NestedTask final : private NestedName, public ProcessTask<void> {
public:
    NestedTask(
        std::shared_ptr<RemotePool> pool,
        NestedCalls& calls,
        NestedOrigin task_origin,
        const void* function,
        std::string type_name
    )
        : NestedName{std::move(type_name)},
          ProcessTask<void>(std::move(pool), TaskName::of(function, type)),
          origin(task_origin),
          calls_(calls) {}

    bool finish() noexcept override;
    void finish_callbacks() override;
    void cancel_future() override;

    /// Whether nothing stands against running it on the stack of the task that waits.
    bool is_plain() const noexcept {
        return !limits && !retry && retries == 0 && !has_limit() && !origin.detached;
    }

    const NestedOrigin origin;
    bool on_stack = false;  ///< the manager: it runs in its own worker

private:
    ~NestedTask() override = default;

    bool request_cancel() noexcept override {
        return !on_stack && ProcessTask<void>::request_cancel();
    }

    NestedCalls& calls_;
};

using NestedTaskPtr = StatePtr<NestedTask>;

/// The manager's view of a worker's link.
class NestedLink {
public:
    NestedLink(LinkMemory& memory, std::uint64_t link_number, std::uint64_t longest)
        : number(link_number), asks(memory.asks, longest), tells(memory.tells) {}

    const std::uint64_t number;

    // The manager's own.
    FrameReader asks;
    /// In which wait the worker is, if its word says so, too.
    std::uint64_t wait = 0;
    std::uint64_t wait_flags = 0;
    std::vector<std::uint64_t> awaited;  ///< calls
    std::vector<NestedTaskPtr> stack;    ///< those that run there, the last one on top

    // Guarded by the mutex of the calls.
    FrameWriter tells;
    std::deque<std::vector<std::byte>> untold;  ///< frames; the first may be half told
    bool is_telling = false;
    std::unordered_map<std::uint64_t, NestedTaskPtr> tasks;  ///< by number
};

class NestedCalls {
public:
    explicit NestedCalls(Board& board, std::uint64_t longest);
    NestedCalls(const NestedCalls&) = delete;
    NestedCalls& operator=(const NestedCalls&) = delete;
    ~NestedCalls();

    /// Any thread: no task has ever submitted one.
    bool none() const noexcept { return links_made_.load() == 0; }

    /// The link of a worker, if it has one.
    NestedLink* link_of(std::uint32_t worker) noexcept;

    /// The same; makes it where the worker says that it has one.
    NestedLink* open(std::uint32_t worker);

    /// The worker is gone; those of its calls that are not detached and were part of a
    /// task from `lost_from` on are given back. Nothing is told to it any more.
    std::vector<NestedTaskPtr> close(std::uint32_t worker, std::uint64_t lost_from);

    /// Those of its calls that were part of that task and are not detached.
    std::vector<NestedTaskPtr> calls_of(std::uint64_t owner);

    void add(NestedLink& link, NestedTaskPtr task);
    NestedTaskPtr find(NestedLink& link, std::uint64_t number);
    /// It is not known any more; its end is told to nobody.
    NestedTaskPtr take(NestedLink& link, std::uint64_t number);

    void tell(std::uint32_t worker, NestedLink& link, std::vector<std::byte> frame);
    /// The worker may have made room.
    void go_on_telling(std::uint32_t worker, NestedLink& link);

    // ---- any thread

    /// A task has ended, and its end is known to nobody else. Takes it from the link.
    void ended(NestedTask& task) noexcept;

    /// A task of the pool is over that was to stop.
    void note_stopped(std::uint64_t position) noexcept;
    std::vector<std::uint64_t> take_stopped() noexcept;

private:
    NestedLink* link_to(const NestedOrigin& origin) noexcept MP_REQUIRES(mutex_);
    void
    tell_locked(std::uint32_t worker, NestedLink& link, std::vector<std::byte> frame)
        MP_REQUIRES(mutex_);
    void flush(std::uint32_t worker, NestedLink& link) noexcept MP_REQUIRES(mutex_);

    // Set once in the constructor.
    Board& board_;
    const std::uint64_t longest_;

    std::atomic<std::uint64_t> links_made_{0};

    mutable mp::detail::Mutex mutex_;
    std::vector<std::unique_ptr<NestedLink>> links_ MP_GUARDED_BY(mutex_
    );  ///< by worker
    std::vector<std::uint64_t> stopped_ MP_GUARDED_BY(mutex_);
};

}  // namespace futures::detail
