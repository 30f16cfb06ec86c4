// SPDX-License-Identifier: BSL-1.0
// ProcessTask<R>: a task of a process pool, with its future's state, in one allocation.
// Python:  concurrent.futures.process._WorkItem with its Future.
// Differs: the result stays encoded until a thread asks for it; then it is decoded
//          once, in that thread.
// Threads: any; see StateBase and BoardTask.
#pragma once

#include "futures/detail/board_task.hpp"
#include "futures/detail/recycle.hpp"
#include "futures/detail/remote_pool.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/task_control.hpp"
#include "futures/detail/task_name.hpp"
#include "futures/limits.hpp"
#include "futures/retry.hpp"
#include "futures/submit_options.hpp"
#include "mp/call.hpp"
#include "mp/detail/carried.hpp"
#include "mp/remote_error.hpp"

#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <new>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// What a task has that may be run again when it has thrown, or that waits before.
struct RetryPlan {
    RetryOn on;
    RetryDelay delay;
    /// The call, while the task has its result.
    Message call = {};
    std::uint32_t ended = 0;  ///< how often it ended so that it is retried
};

/// What options say of a task, made before the task is.
struct TaskOptions {
    explicit TaskOptions(SubmitOptions& options)
        : retries(options.retries),
          priority(options.priority),
          retry(plan_of(options)),
          limits(
              options.limits.any() ? std::make_unique<const Limits>(options.limits)
                                   : nullptr
          ),
          control(
              TaskControl::is_needed(options) ? std::make_unique<TaskControl>(options)
                                              : nullptr
          ) {}

    /// Null: only losses make it run again, and at once.
    static std::unique_ptr<RetryPlan> plan_of(const SubmitOptions& options) {
        if (!options.retry_on && options.retry_delay.is_zero() &&
            (options.retries == 0 || options.timeout.is_forever())) {
            return nullptr;
        }
        return std::make_unique<RetryPlan>(RetryPlan{
            options.retry_on, options.retry_delay});
    }

    std::uint32_t retries;
    int priority;
    std::unique_ptr<RetryPlan> retry;
    std::unique_ptr<const Limits> limits;
    std::unique_ptr<TaskControl> control;
};

/// The part of a task that does not depend on its result's type.
class PoolTask : public BoardTask {
public:
    PoolTask(std::shared_ptr<RemotePool> pool, TaskName task_name) noexcept;

    /// Before it is submitted.
    void take(TaskOptions&& options) noexcept {
        retries = options.retries;
        priority = options.priority;
        retry = std::move(options.retry);
        limits = std::move(options.limits);
        control = std::move(options.control);
        has_trailer = control != nullptr;
        may_throw_again = retries > 0 && ((retry && retry->on) || has_limit());
    }

    /// What messages call it.
    virtual std::string label() const;

    void settle_stop() noexcept override;

    /// "... ran longer than its limit of 2 s: " and how that ended.
    std::exception_ptr timeout_error(const std::string& how) const;

    bool has_limit() const noexcept {
        return control != nullptr && !control->limit.is_forever();
    }

    // Set before it is submitted.
    const TaskName name;
    std::unique_ptr<const Limits> limits = {};  ///< null: the pool's
    std::unique_ptr<TaskControl> control = {};  ///< null: nothing was said of it

    /// How often it failed so far: its workers died, its time was up, it threw.
    std::uint32_t failures() const noexcept {
        return losses + (retry ? retry->ended : 0);
    }

    /// After a failure that is not the last one: when it is to be run again.
    void run_again_later() noexcept;

    // -- for the board

    void keep_call(Message call) noexcept override;
    bool is_to_run_again() noexcept override;

    // Set before it is submitted; then the manager's own, but for `call`, which is the
    // board's.
    std::unique_ptr<RetryPlan> retry = {};

    /// Of the pool.
    TaskBoard& board() const noexcept { return board_; }

    // The manager's own.
    std::uint32_t time_outs = 0;  ///< of its losses
    std::uint32_t losses = 0;     ///< how many workers died while it ran

protected:
    ~PoolTask() = default;

    StopAnswer stop_running();

private:
    bool is_retried_exception() noexcept;

    std::shared_ptr<RemotePool> pool_;
    TaskBoard& board_;  ///< the pool's
};

/// Where a call is encoded: in a small buffer, or in memory of the pool.
class CallStore final : public mp::detail::ByteStore {
public:
    explicit CallStore(RemotePool& pool) noexcept : pool_(pool) {}

    std::span<std::byte> grow(std::span<const std::byte> written, Room room) override;

    Block take(std::size_t size) noexcept {
        block_.shorten(size);
        return std::move(block_);
    }

private:
    RemotePool& pool_;
    Block block_;
};

/// While it lives, what this thread encodes may be what the pool's workers were given.
class GivenToPool {
public:
    explicit GivenToPool(const RemotePool& pool) noexcept;

private:
    mp::detail::GivenScope scope_;
};

/// Throws what is being handled as SerializationError{phase}, with it as its cause and
/// `task` in its text; SystemExit and BinaryMismatch as they are.
[[noreturn]] void throw_serialization_error(
    mp::SerializationPhase phase, const std::string& task = "a task"
);

/// How a result is read from what the call wrote.
template <class R>
struct ReadResult {
    static R read(mp::detail::ByteReader& in) {
        return mp::detail::decode_result<R>(in);
    }
};

template <>
struct ReadResult<void> {};

template <class R, class Read = ReadResult<R>>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ProcessTask : public State<R>, public PoolTask, public Recycled {
public:
    ProcessTask(std::shared_ptr<RemotePool> pool, TaskName task_name) noexcept
        : State<R>(Settler::executor), PoolTask(std::move(pool), task_name) {}

    // -- for the board

    bool finish() noexcept override {
        switch (end) {
        case TaskEnd::value:
            return this->conclude(Outcome::raw_value);
        case TaskEnd::exception:
        case TaskEnd::stopped:
            return this->conclude(Outcome::raw_exception);
        case TaskEnd::cancelled:
            return this->conclude(Outcome::cancelled);
        case TaskEnd::failed:
            break;
        }
        this->store_exception(std::move(failure));
        return this->conclude(Outcome::exception);
    }

    void finish_callbacks() override {
        this->run_callbacks();
        this->end_telling();
    }

    void cancel_future() override {
        this->add_reference();  // the pool's goes in it, and callbacks come after that
        this->cancel();
        this->drop_reference();
    }

    bool is_finished() const noexcept override { return this->done(); }

    StateBase* future_state() noexcept override { return this; }

protected:
    ~ProcessTask() override = default;

    // -- for the future

    bool request_cancel() noexcept override { return board().cancel(*this); }

    StopAnswer request_stop() override { return stop_running(); }

    void discard_work() noexcept override {
        board().cancelled(*this);
        this->drop_reference();  // the pool's
    }

private:
    FutureState observe() const noexcept override {
        return board().is_running(*this) ? FutureState::running : FutureState::pending;
    }

    bool wait_until_done(const mp::Deadline& deadline) override {
        return board().help(*this, deadline) || StateBase::wait_until_done(deadline);
    }

    void materialise() override {
        mp::detail::ByteReader in(message.bytes());
        if (end != TaskEnd::value) {
            this->store_exception(mp::detail::decode_exception(in));
        } else {
            try {
                read_value(in);
            } catch (...) {
                message.clear();
                throw_serialization_error(mp::SerializationPhase::decode_result);
            }
        }
        message.clear();
    }

    void read_value(mp::detail::ByteReader& in) {
        if constexpr (std::is_void_v<R>) {
            this->emplace();
        } else {
            this->emplace(Read::read(in));
        }
    }
};

}  // namespace futures::detail
