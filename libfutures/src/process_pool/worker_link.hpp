// SPDX-License-Identifier: BSL-1.0
// WorkerLink: a worker's side of docs/protocols/nested_submission.md: the calls that
// its tasks have submitted to their own pool, and the thread that looks after them.
// Between any two operations here the process may be killed: the parent then drops what
// it has asked for, and harms nobody else.
// Threads: as said.
#pragma once

#include "futures/detail/pool_link.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include "future/pool_thread.hpp"
#include "future/thread_duties.hpp"
#include "process_pool/board_layout.hpp"
#include "process_pool/frame_ring.hpp"
#include "process_pool/link_messages.hpp"

#include <atomic>
#include <cstdint>
#include <deque>
#include <functional>
#include <string>
#include <thread>
#include <unordered_map>
#include <vector>

namespace futures::detail {

/// Runs a call on the stack of the task that waits for it.
class StackRunner {
public:
    StackRunner() = default;
    StackRunner(const StackRunner&) = delete;
    StackRunner& operator=(const StackRunner&) = delete;

    /// What the call has written, or the exception, encoded. Sets whether it threw.
    virtual Message run_on_stack(
        const std::string& name, std::span<const std::byte> call, bool& threw
    ) noexcept = 0;

protected:
    ~StackRunner() = default;
};

class WorkerLink final : public PoolLink, private PoolThread, private ThreadDuties {
public:
    /// Makes the thread: throws std::system_error. `given` lives as long.
    WorkerLink(
        BoardView view,
        std::uint32_t worker,
        int doorbell,
        const mp::detail::Carried& given,
        const LinkedPool& pool,
        StackRunner& runner
    );
    ~WorkerLink();

    // -- the thread that runs tasks

    /// This task uses the link; its waits are told to the parent.
    void enter_task(std::uint64_t position, int priority) noexcept;
    void leave_task() noexcept;

    // -- PoolLink

    const mp::detail::Carried& given() const noexcept override { return given_; }

    void submit(
        NestedCallBase& call,
        const SubmitOptions& options,
        const TaskName& name,
        std::span<const std::byte> bytes
    ) override;
    bool cancel(NestedCallBase& call) noexcept override;
    StopAnswer stop(NestedCallBase& call) override;
    bool is_running(const NestedCallBase& call) const noexcept override;
    void cancelled(NestedCallBase& call) noexcept override;
    bool help(NestedCallBase& call, const mp::Deadline& deadline) override;

private:
    /// A question that is not answered yet. Who asked sleeps on the helper's bell.
    struct Question {
        std::uint64_t answer = 0;
        std::atomic<bool> answered{false};
    };

    /// While it lives, the link does.
    class User {
    public:
        explicit User(WorkerLink& link) noexcept : link_(link) { ++link.users_; }

        ~User() { link_.leave(); }

        User(const User&) = delete;
        User& operator=(const User&) = delete;

    private:
        WorkerLink& link_;
    };

    class TaskHears;

    /// A call that this worker is to run on its stack.
    struct ToRun {
        std::uint64_t number;
        int priority;
        std::string name;
        std::vector<std::byte> call;
    };

    // -- PoolThread, of the thread that runs tasks
    bool run_awaited(StateBase& state) override;
    bool run_one_of(const Wait& wait) override;
    void begin_wait(const Wait& wait) override;
    void end_wait(const Wait& wait) noexcept override;

    // -- ThreadDuties, of the helper
    void turn(const mp::Deadline& deadline) override;
    bool turn_unless(const std::function<bool()>& over, const mp::Deadline& deadline);
    void
    turn_in_callback(const std::function<bool()>& over, const mp::Deadline& deadline);
    void ring() noexcept override { ring_bell(LinkSleeper::helper); }

    void start_helper();
    void replace_helper() noexcept;
    void run_helper();
    void close();
    void leave() noexcept;
    mp::detail::FutexWord& bell_of(LinkSleeper who) const noexcept {
        return memory_.bells[static_cast<std::size_t>(who)];
    }

    void ring_bell(LinkSleeper who) noexcept;
    void wake_bell_waits() noexcept;
    bool any_gone(const std::vector<std::uint64_t>& numbers) noexcept;

    void ask(const AskHead& head, std::span<const std::byte> bytes = {});
    void ring_parent() noexcept;
    std::uint64_t ask_and_wait(AskKind kind, std::uint64_t number);

    bool drain() noexcept MP_EXCLUDES(drain_mutex_);
    bool drain_locked() noexcept MP_REQUIRES(drain_mutex_);
    void take(std::span<const std::byte> frame) MP_REQUIRES(drain_mutex_);
    void take_result(const TellHead& head, std::span<const std::byte> bytes);
    NestedCallBase* remove(std::uint64_t number) noexcept;
    void settle(NestedCallBase& call, TaskEnd end, Message message) noexcept;
    std::size_t run_callbacks();

    std::uint64_t
    tell_of_wait(std::uint64_t flags, std::span<const std::uint64_t> numbers);
    void tell_wait_is_over() noexcept;
    bool await(
        StateBase* awaited,
        const std::function<bool()>& done,
        std::vector<std::uint64_t> numbers
    );
    void run_here(ToRun to_run);
    void refuse(const ToRun& to_run) noexcept;
    void tell_of_stacked(AskKind kind, std::uint64_t number) noexcept;

    // Set once in the constructor.
    const mp::detail::Creator creator_;
    const BoardView view_;
    const std::uint32_t worker_;
    const int doorbell_;
    const mp::detail::Carried& given_;
    StackRunner& runner_;
    LinkMemory& memory_;

    // The task's thread.
    std::uint64_t position_ = 0;
    int priority_ = 0;
    std::uint64_t waits_ = 0;
    std::uint32_t depth_ = 0;  ///< of calls on its stack

    // Own synchronisation.
    std::atomic<std::uint64_t> numbers_{0};
    std::atomic<bool> ending_{false};
    /// Threads that sleep on the helper's bell for what another one may take: who has
    /// asked something, and the helper in a callback.
    std::atomic<std::uint32_t> bell_waits_{0};
    /// Threads that the end waits for: who asks, or cancels a call.
    mp::detail::FutexWord users_{0};

    // Guarded by ask_mutex_.
    mp::detail::Mutex ask_mutex_;
    FrameWriter asks_ MP_GUARDED_BY(ask_mutex_);

    // Guarded by drain_mutex_, before mutex_.
    mp::detail::Mutex drain_mutex_;
    FrameReader tells_ MP_GUARDED_BY(drain_mutex_);

    // Guarded by mutex_.
    mp::detail::Mutex mutex_;
    std::unordered_map<std::uint64_t, NestedCallBase*> calls_ MP_GUARDED_BY(mutex_);
    std::deque<NestedCallBase*> with_callbacks_ MP_GUARDED_BY(mutex_);
    std::deque<ToRun> to_run_ MP_GUARDED_BY(mutex_);
    bool awaits_ MP_GUARDED_BY(mutex_) = false;  ///< the task's thread takes those
    std::string deadlock_ MP_GUARDED_BY(mutex_);
    std::uint64_t deadlocked_wait_ MP_GUARDED_BY(mutex_) = 0;
    bool closed_ MP_GUARDED_BY(mutex_) = false;  ///< nothing is asked any more
    std::uint64_t tickets_ MP_GUARDED_BY(mutex_) = 0;
    std::unordered_map<std::uint64_t, Question*> questions_ MP_GUARDED_BY(mutex_);

    // Guarded by helpers_mutex_: the latest, and those that callbacks have ended.
    mp::detail::Mutex helpers_mutex_;
    std::vector<std::thread> helpers_ MP_GUARDED_BY(helpers_mutex_);
};

}  // namespace futures::detail
