// SPDX-License-Identifier: BSL-1.0
// Bridge: what a loop has for those outside: the tasks that they started in it.
#pragma once

#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "concurrency/cancel.hpp"
#include "concurrency/capacity_limiter.hpp"
#include "concurrency/detail/guest.hpp"
#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/loop_task.hpp"
#include "concurrency/detail/thread_call.hpp"
#include "concurrency/loop/annex.hpp"
#include "concurrency/loop/loop.hpp"

#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <string>

namespace concurrency::detail {

class Bridge;

class GuestLink : public Link {};

/// A task that no group has. It destroys itself when it has ended.
class GuestTask final : public LoopTask, public GuestLink {
public:
    GuestTask(Bridge& bridge, std::shared_ptr<Guest> guest) noexcept;

    void cancel() { scope_.cancel(); }

private:
    void begin() override;
    void failed(std::exception_ptr error) noexcept override;
    void end() noexcept override;
    std::string default_name() const override;

    Bridge& bridge_;
    Guest::Keeper guest_;
    CancelScope scope_;
    Task<> body_;
};

class Bridge final : public Annex {
public:
    /// Throws std::bad_alloc.
    explicit Bridge(Loop& loop) : loop_(loop) {}

    ~Bridge() override;

    /// The one of this loop, made if there is none yet.
    static Bridge& of(Loop& loop);

    /// Starts a task that lies in `scope`, or in none.
    void start(std::shared_ptr<Guest> guest, ScopeNode* scope, std::uint64_t parent);

    /// The threads for run_sync(), made when they are needed first.
    std::shared_ptr<futures::ThreadPoolExecutor> threads();

    /// The processes for to_process::run_sync(), likewise.
    futures::ProcessPoolExecutor& processes();

    /// Of how many threads may run for the loop.
    CapacityLimiter& limiter() noexcept { return limiter_; }

    /// One whose task has been started. It leaves when that is destroyed.
    void add(GuestPlace& guest) noexcept { places_.push_back(guest); }

    /// A call whose thread is at work.
    void add(ThreadCall& call) noexcept { calls_.push_back(call); }

    bool is_over() noexcept override;
    void abandon() noexcept override;

private:
    friend class GuestTask;

    void ended() noexcept;
    void end_processes() noexcept;

    Loop& loop_;
    bool main_has_ended_ = false;
    List<GuestLink> guests_;   // in no group
    List<GuestPlace> places_;  // of all guests, in groups or not, as they came
    CapacityLimiter limiter_{40};
    List<CallLink> calls_;
    std::shared_ptr<futures::ThreadPoolExecutor> threads_;
    std::unique_ptr<futures::ProcessPoolExecutor> processes_;
};

/// What a callback in the loop threw: run() throws it, and the main task is cancelled.
void callback_failed(Loop& loop, const std::exception_ptr& error) noexcept;

}  // namespace concurrency::detail
