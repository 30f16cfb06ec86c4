// SPDX-License-Identifier: BSL-1.0
// ProcessGate, WaitingProcessTask: a task of a process pool that waits for futures. It
// is on no board, and no worker hears of it, before all are done.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "futures/detail/future_arguments.hpp"
#include "futures/detail/process_task.hpp"
#include "futures/detail/waiting_task.hpp"
#include "mp/call.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <optional>
#include <tuple>
#include <utility>

namespace futures::detail {

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ProcessGate : public WaitingTask {
public:
    /// The call stands in the task's message.
    ProcessGate(std::shared_ptr<RemotePool> pool, std::size_t count);

    /// Before it waits. Keeps it until it has left.
    template <class Task>
    void lead_to(Task& task) noexcept {
        task.add_reference();
        task_ = &task;
        state_ = StatePtr<StateBase>(&task);
    }

    /// The pool did not take it: it never waited. No watch() follows.
    void abandon() noexcept {
        WaitingTask::abandon();
        state_ = {};
    }

    /// For a cancel(): whether the board, where it stands now, is to be asked.
    enum class Withdrawal : std::uint8_t {
        done,     ///< it will not be put on the board
        refused,  ///< it has failed
        placed,   ///< it is on the board
    };
    Withdrawal withdraw() noexcept;

    bool is_placed() const noexcept { return place_.load() == Place::board; }

protected:
    ~ProcessGate() override;

    /// Writes a call whose arguments are there by now; false if it was written before.
    virtual bool encode(mp::detail::ByteWriter& /*out*/) { return false; }

    /// What stands before the call, and behind it, where options say so.
    void begin_call(mp::detail::ByteWriter& out) const;
    void end_call(mp::detail::ByteWriter& out) const;

    /// Destroys what encode() would need.
    virtual void let_go() noexcept {}

private:
    enum class Place : std::uint8_t {
        nowhere,
        withdrawn,  ///< its future was cancelled
        going,      ///< on its way to the board
        board,
        failed,
    };

    bool move_to(Place place) noexcept;
    void submit();
    void fail_task(std::exception_ptr exception) noexcept;

    void go_on() override;
    void fail_future(std::exception_ptr exception) override;
    void cancel_future() override;
    void left() noexcept override;

    std::shared_ptr<RemotePool> pool_;
    void leave_room(bool begun) noexcept;

    PoolTask* task_ = nullptr;
    StatePtr<StateBase> state_;  // the same
    std::atomic<Place> place_{Place::nowhere};
};

/// One whose arguments are still to come.
template <class Fn, class... Items>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class DeferredCall final : public ProcessGate {
public:
    template <class F, class... A>
    DeferredCall(
        std::shared_ptr<RemotePool> pool, std::size_t count, F&& fn, A&&... items
    )
        : ProcessGate(std::move(pool), count),
          call_(std::in_place, std::forward<F>(fn), std::forward<A>(items)...) {}

private:
    struct Call {
        template <class F, class... A>
        explicit Call(F&& function, A&&... arguments)
            : fn(std::forward<F>(function)), items(std::forward<A>(arguments)...) {}

        Fn fn;
        std::tuple<Items...> items;
    };

    bool encode(mp::detail::ByteWriter& out) override {
        this->begin_call(out);
        std::apply(
            [&](const Items&... items) {
                mp::detail::encode_call(out, call_->fn, shown(items, *this)...);
            },
            call_->items
        );
        this->end_call(out);
        return true;
    }

    void let_go() noexcept override { call_.reset(); }

    std::optional<Call> call_;
};

template <class R, class Read>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class WaitingProcessTask final : public ProcessTask<R, Read> {
public:
    using ProcessTask<R, Read>::ProcessTask;

    void wait_at(DependenciesPtr<ProcessGate> gate) noexcept {
        gate_ = std::move(gate);
        on_.set(*gate_);
    }

    DependsOn* depends_on() noexcept override { return &on_; }

private:
    using Withdrawal = ProcessGate::Withdrawal;

    ~WaitingProcessTask() override = default;

    bool request_cancel() noexcept override {
        const auto withdrawal = gate_->withdraw();
        return withdrawal == Withdrawal::placed ? ProcessTask<R, Read>::request_cancel()
                                                : withdrawal == Withdrawal::done;
    }

    void discard_work() noexcept override {
        if (gate_->is_placed()) {
            ProcessTask<R, Read>::discard_work();
            return;
        }
        gate_->leave();
        this->message.clear();
        ProcessTask<R, Read>::discard_work();
    }

    DependenciesPtr<ProcessGate> gate_{nullptr};
    DependsOn on_;
};

}  // namespace futures::detail
