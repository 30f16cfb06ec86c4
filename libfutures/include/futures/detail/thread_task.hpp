// SPDX-License-Identifier: BSL-1.0
// ThreadTask: a call of a thread pool, as its queue holds it and its future shares it.
// Python:  concurrent.futures.thread._WorkItem.
// Differs: the call, its future's state and its result are one allocation.
// Threads: any.
#pragma once

#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/task_name.hpp"
#include "futures/detail/thread_control.hpp"
#include "futures/this_task.hpp"
#include "mp/detail/forced_unwind.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <stop_token>
#include <string>
#include <tuple>
#include <utility>

namespace futures::detail {

/// What the future of a call gets that ended its thread by pthread_exit().
std::exception_ptr thread_ended_in_task();

/// What a thread of a thread pool counts and does.
struct WorkerState {
    std::atomic<std::uint64_t> completed{0};  ///< tasks; written by the worker
    // The worker's own.
    TaskSlot slot;  ///< the task that it calls
    std::uint32_t index = 0;
};

/// A task in the queue of a thread pool.
class Work : public TaskContext {
public:
    Work() = default;
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

    /// Runs it unless it was cancelled. Counts it as completed before anybody can know
    /// its result. When the call, or a callback, ends the thread (pthread_exit), the
    /// unwinding passes through here; then it is to be run again, which does the rest:
    /// the call's future gets an exception.
    virtual void run(WorkerState& self) = 0;
    /// Ends it with an exception unless it was cancelled.
    virtual void fail(std::exception_ptr exception) = 0;
    /// Ends it as cancelled.
    virtual void cancel_work() = 0;
    virtual bool is_cancelled() const noexcept = 0;
    /// One reference more.
    virtual void keep() noexcept = 0;

    // -- what was said of it

    /// Before it is submitted.
    void set_control(ThreadControl* control) noexcept { control_.store(control); }

    /// Null: nothing was said of it.
    ThreadControl* control_if_any() const noexcept {
        // order: acquire pairs with control(), so that what it says is visible.
        return control_.load(std::memory_order_acquire);
    }

    /// Made if there is none. Throws std::bad_alloc.
    ThreadControl& control();

    // -- what it knows of itself

    bool stop_requested() const noexcept override;
    std::stop_token stop_token() override;
    std::string name() const override;

    std::uint32_t attempt() const noexcept override { return 1; }

    mp::Deadline deadline() const noexcept override;

    std::size_t worker_index() const noexcept override { return worker_index_; }

protected:
    ~Work() {
        if (ThreadControl* const control = control_if_any()) [[unlikely]] {
            control->drop_reference();
        }
    }

    /// The function's name.
    virtual std::string call_name() const = 0;

    /// The call has thrown what is being handled, `thrown`, and the task has a control.
    /// What that is to its future; `thrown` may become something else.
    Outcome outcome_of(std::exception_ptr& thrown) const;

    std::uint32_t worker_index_ = 0;

private:
    std::atomic<ThreadControl*> control_{nullptr};
};

/// A task, its future's state and its callable, in one allocation.
template <class R, class Call>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ThreadTask final : public State<R>, public Work, public Recycled {
public:
    template <class... Args>
    explicit ThreadTask(Args&&... args)
        : State<R>(Settler::executor), call_(std::forward<Args>(args)...) {}

    ThreadTask(const ThreadTask&) = delete;
    ThreadTask& operator=(const ThreadTask&) = delete;

    void run(WorkerState& self) override {
        auto& completed = self.completed;
        if (stage_ == Stage::callbacks) {
            finish_callbacks(completed);
            return;
        }
        auto outcome = Outcome::value;
        const bool ended_thread = stage_ == Stage::calling;
        const bool started = ended_thread || this->start();
        if (ended_thread) {
            this->store_exception(thread_ended_in_task());
            outcome = Outcome::exception;
            end_call(nullptr, self);
        } else if (started) {
            stage_ = Stage::calling;
            worker_index_ = self.index;
            if (ThreadControl* const control = control_if_any()) [[unlikely]] {
                control->begin();
            }
            TaskContext* const outer = std::exchange(self.slot.task, this);
            try {
                this->emplace_from(std::move(call_));
            } catch (const mp::detail::ForcedUnwind&) {
                throw;
            } catch (...) {
                std::exception_ptr thrown = std::current_exception();
                outcome = control_if_any() == nullptr ? Outcome::exception
                                                      : outcome_of(thrown);
                this->store_exception(std::move(thrown));
            }
            end_call(outer, self);
        }
        // order: relaxed load, this thread is the only writer; release pairs with
        // all_are_busy(), so that it sees that this was submitted before it was done.
        completed.store(
            completed.load(std::memory_order_relaxed) + 1, std::memory_order_release
        );
        if (!started) {
            this->drop_reference();
        } else if (this->conclude(outcome)) {
            // The thread is busy with the callbacks. One of them may wait for a task
            // that it submits, which then needs another thread.
            // order: relaxed, as above; a submit() of this thread sees it in any case.
            completed.fetch_sub(1, std::memory_order_relaxed);
            stage_ = Stage::callbacks;
            finish_callbacks(completed);
        }
    }

    void fail(std::exception_ptr exception) override {
        if (this->start()) {
            call_.~Call();
            this->store_exception(std::move(exception));
            this->finish(Outcome::exception);
        } else {
            this->drop_reference();
        }
    }

    void cancel_work() override {
        this->cancel();
        this->drop_reference();
    }

    bool is_cancelled() const noexcept override {
        return this->state() == FutureState::cancelled_and_notified;
    }

    void keep() noexcept override { this->add_reference(); }

private:
    enum class Stage : std::uint8_t { queued, calling, callbacks };

    /// `outer`: the task that this thread goes on with.
    void end_call(TaskContext* outer, WorkerState& self) noexcept {
        call_.~Call();
        self.slot.task = outer;
        if (ThreadControl* const control = control_if_any()) [[unlikely]] {
            control->end();
        }
    }

    std::string call_name() const override {
        if constexpr (requires { call_.function(); }) {
            return TaskName::of(call_.function()).text();
        } else {
            return TaskName::of(call_).text();
        }
    }

    void finish_callbacks(std::atomic<std::uint64_t>& completed) {
        this->run_callbacks();
        this->drop_reference();
        // order: as in run().
        completed.fetch_add(1, std::memory_order_release);
    }

    ~ThreadTask() override {
        if (this->state() == FutureState::pending) {  // it was not accepted
            call_.~Call();
        }
    }

    void discard_work() noexcept override { call_.~Call(); }

    /// It runs: nobody can do more than ask.
    StopAnswer request_stop() override {
        control().stop(SoftStop::cancelled);
        return StopAnswer::yes;
    }

    union {
        Call call_;  // until it has run or was cancelled
    };
    Stage stage_ = Stage::queued;  // of the thread that runs it
};

/// A callable with its arguments.
template <class Fn, class... Args>
class BoundCall {
public:
    template <class F, class... A>
    explicit BoundCall(std::in_place_t, F&& fn, A&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<A>(args)...) {}

    decltype(auto) operator()() && {
        return std::apply(std::move(fn_), std::move(args_));
    }

    const Fn& function() const noexcept { return fn_; }

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

}  // namespace futures::detail
