// SPDX-License-Identifier: BSL-1.0
// ThreadTask: a call of a thread pool, as its queue holds it and its future shares it.
// Python:  concurrent.futures.thread._WorkItem.
// Differs: the call, its future's state and its result are one allocation.
// Threads: any.
#pragma once

#include "futures/detail/dependencies.hpp"
#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"
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
#include <type_traits>
#include <typeinfo>
#include <utility>

namespace futures::detail {

/// What the future of a call gets that ended its thread by pthread_exit().
std::exception_ptr thread_ended_in_task();
/// For messages; slow.
std::string name_of_function(const void* function);
std::string name_of_class(const std::type_info& type);

/// What a thread of a thread pool counts and does.
struct WorkerState {
    // Own synchronisation.
    alignas(64) std::atomic<std::uint64_t> completed{0};  ///< tasks; the worker writes
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

    /// For a thread that took it from the queue: runs it unless it was cancelled, or
    /// begun elsewhere. Counts it as completed before anybody can know its result.
    /// When the call, or a callback, ends the thread (pthread_exit), the unwinding
    /// passes through here; then run_rest() is to be called.
    virtual void run(WorkerState& self) = 0;
    /// After the thread was ended in it: the call's future gets an exception, callbacks
    /// that are left are run.
    virtual void run_rest(WorkerState& self) = 0;

    /// For a thread that did not take it from the queue: it is to run it. False when it
    /// was begun already, or cancelled. The queue keeps it.
    virtual bool begin() noexcept = 0;
    /// Instead of run(), for one that was begun without the queue, or was cancelled.
    virtual void pass_over(WorkerState& self) = 0;
    /// After begin(). True when it has callbacks: finish_callbacks() is to be called.
    virtual bool run_begun(WorkerState& self) = 0;
    /// Instead, where the program's code may not run: tells the tasks that depend on
    /// it. True when that was all, and it may be gone.
    virtual bool tell_at_once() = 0;
    /// Counts them as one task more.
    virtual void finish_callbacks(std::atomic<std::uint64_t>& completed) = 0;

    /// Ends it with an exception unless it was cancelled or begun elsewhere.
    virtual void fail(std::exception_ptr exception) = 0;
    /// Ends it as cancelled.
    virtual void cancel_work() = 0;
    virtual bool is_begun() const noexcept = 0;  ///< or cancelled
    virtual bool is_cancelled() const noexcept = 0;

    /// It was put aside, and is not any more: what goes to the queue now may be begun.
    virtual void may_be_begun() noexcept {}

    /// One reference more.
    virtual void keep() noexcept = 0;
    virtual void release() noexcept = 0;

    /// The number of the pool that it was submitted to; 0 before.
    std::uint32_t queued_in() const noexcept {
        // order: relaxed, a number only; it comes with the task.
        return pool_.load(std::memory_order_relaxed);
    }

    void set_queued_in(std::uint32_t pool) noexcept {
        // order: relaxed, as above.
        pool_.store(pool, std::memory_order_relaxed);
    }

    /// It was run on the stack of a task that waits, and what it has to tell is left to
    /// another thread.
    bool is_passed_on() const noexcept {
        // order: relaxed, whoever wants it looks again into its list.
        return passed_on_.load(std::memory_order_relaxed);
    }

    void set_passed_on() noexcept {
        // order: relaxed, as above.
        passed_on_.store(true, std::memory_order_relaxed);
    }

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

    enum class Stage : std::uint8_t { queued, calling, callbacks };

    // Here, so that they share words.
    std::atomic<std::uint32_t> pool_{0};
    std::uint32_t worker_index_ = 0;
    Stage stage_ = Stage::queued;  // of the thread that runs it
    std::atomic<bool> passed_on_{false};

private:
    std::atomic<ThreadControl*> control_{nullptr};
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

/// The name of a function, else of the callable's type.
template <class Call>
std::string name_of_call(const Call& call) {
    if constexpr (requires { call.function(); }) {
        return name_of_call(call.function());
    } else if constexpr (std::is_pointer_v<Call>) {
        return name_of_function(reinterpret_cast<const void*>(call));
    } else {
        return name_of_class(typeid(Call));
    }
}

/// A task, its future's state and its callable, in one allocation.
template <class R, class Call>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class ThreadTask final : public State<R>, public Work, public Recycled {
public:
    template <class... Args>
    explicit ThreadTask(Args&&... args)
        : State<R>(Settler::executor), call_(std::forward<Args>(args)...) {
        if constexpr (waits) {
            on_.set(call_.gate());
        }
    }

    ThreadTask(const ThreadTask&) = delete;
    ThreadTask& operator=(const ThreadTask&) = delete;

    void run(WorkerState& self) override {
        if (!this->start()) {
            pass_over(self);
        } else if (run_begun(self)) {
            run_callbacks_here(self.completed);
        }
    }

    void run_rest(WorkerState& self) override {
        if (stage_ == Stage::callbacks) {
            finish_callbacks(self.completed);
            return;
        }
        this->store_exception(thread_ended_in_task());
        end_call(nullptr, self);
        count(self.completed);
        if (this->conclude(Outcome::exception)) {
            run_callbacks_here(self.completed);
        }
    }

    void pass_over(WorkerState& self) override {
        // Else it is counted where it was begun.
        if (is_cancelled() && stage_ == Stage::queued) {
            count(self.completed);
        }
        this->drop_reference();
    }

    bool begin() noexcept override {
        if (!this->start()) {
            return false;
        }
        this->add_reference();  // the queue's; the other one ends with the call
        return true;
    }

    bool run_begun(WorkerState& self) override {
        auto outcome = Outcome::value;
        stage_ = Stage::calling;
        worker_index_ = self.index;
        depend_no_more();
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
            outcome =
                control_if_any() == nullptr ? Outcome::exception : outcome_of(thrown);
            this->store_exception(std::move(thrown));
        }
        end_call(outer, self);
        count(self.completed);
        return this->conclude(outcome);
    }

    bool tell_at_once() override {
        const bool all = StateBase::tell_at_once();
        if (all) {
            this->end_telling();
        }
        return all;
    }

    void finish_callbacks(std::atomic<std::uint64_t>& completed) override {
        this->run_callbacks();
        this->end_telling();
        count(completed);
    }

    void fail(std::exception_ptr exception) override {
        if (!this->start()) {
            this->drop_reference();
            return;
        }
        // Done first: to destroy the call is to leave the room of tasks that wait.
        this->store_exception(std::move(exception));
        this->add_reference();
        const StatePtr<StateBase> kept(this);
        const bool callbacks = this->conclude(Outcome::exception);
        destroy_call();
        if (callbacks) {
            this->run_callbacks_and_end();
        }
    }

    void cancel_work() override {
        this->cancel();
        this->drop_reference();
    }

    bool is_begun() const noexcept override {
        return this->state() != FutureState::pending;
    }

    bool is_cancelled() const noexcept override {
        return this->state() == FutureState::cancelled_and_notified;
    }

    void keep() noexcept override { this->add_reference(); }

    void release() noexcept override { this->drop_reference(); }

    Work* as_work() noexcept override { return this; }

    DependsOn* depends_on() noexcept override {
        if constexpr (waits) {
            return &on_;
        } else {
            return nullptr;
        }
    }

private:
    /// It waits for futures first.
    static constexpr bool waits = requires(Call & call) { call.gate(); };

    struct Nothing {};

    void depend_no_more() noexcept {
        if constexpr (waits) {
            on_.clear();
        }
    }

    void destroy_call() noexcept {
        depend_no_more();
        call_.~Call();
    }

    static void count(std::atomic<std::uint64_t>& completed) noexcept {
        // order: relaxed load, this thread is the only writer; release pairs with
        // all_are_busy(), so that it sees that this was submitted before it was done.
        completed.store(
            completed.load(std::memory_order_relaxed) + 1, std::memory_order_release
        );
    }

    void run_callbacks_here(std::atomic<std::uint64_t>& completed) {
        // The thread is busy with the callbacks. One of them may wait for a task that
        // it submits, which then needs another thread.
        // order: relaxed, as above; a submit() of this thread sees it in any case.
        completed.fetch_sub(1, std::memory_order_relaxed);
        stage_ = Stage::callbacks;
        finish_callbacks(completed);
    }

    /// `outer`: the task that this thread goes on with.
    void end_call(TaskContext* outer, WorkerState& self) noexcept {
        destroy_call();
        self.slot.task = outer;
        if (ThreadControl* const control = control_if_any()) [[unlikely]] {
            control->end();
        }
    }

    std::string call_name() const override { return name_of_call(call_); }

    ~ThreadTask() override {
        if (this->state() == FutureState::pending) {  // it was not accepted
            call_.~Call();
        }
    }

    void discard_work() noexcept override { destroy_call(); }

    /// It runs: nobody can do more than ask.
    StopAnswer request_stop() override {
        control().stop(SoftStop::cancelled);
        return StopAnswer::yes;
    }

    union {
        Call call_;  // until it has run or was cancelled
    };
    [[no_unique_address]] std::conditional_t<waits, DependsOn, Nothing> on_;
};

}  // namespace futures::detail
