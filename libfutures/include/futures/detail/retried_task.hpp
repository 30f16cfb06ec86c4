// SPDX-License-Identifier: BSL-1.0
// RetriedTask: a call of a thread pool that is made again when it throws what its
// options name.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any, as ThreadTask.
#pragma once

#include "futures/detail/copying.hpp"
#include "futures/detail/dependencies.hpp"
#include "futures/detail/thread_task.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <chrono>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <string>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// What becomes of a task that is to wait for its next call.
struct Aside {
    bool taken = true;                ///< else it is still the caller's, and is to end:
    std::exception_ptr failure = {};  ///< with this; null: it is cancelled
};

/// In a thread of the task's pool: puts it aside, with the caller's reference, until it
/// goes back to the queue. Requires: it is pending, and counts as begun. From here on
/// it may be run elsewhere, and be gone.
Aside put_aside(Work& work, std::chrono::nanoseconds delay) noexcept;

/// If it is aside it is so no more, and the reference is the caller's.
bool take_back(Work& work) noexcept;

/// A callable with its arguments, which it keeps: each call gets them as lvalues.
template <class Fn, class... Args>
class RepeatedCall {
public:
    template <class F, class... A>
    explicit RepeatedCall(std::in_place_t, F&& fn, A&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<A>(args)...) {}

    decltype(auto) operator()() { return std::apply(fn_, args_); }

    const Fn& function() const noexcept { return fn_; }

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

template <class R, class Call>
// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class RetriedTask final : public State<R>, public Work, public Recycled {
public:
    template <class... Args>
    explicit RetriedTask(const SubmitOptions& options, Args&&... args)
        : State<R>(Settler::executor),
          retries_(options.retries),
          retry_on_(options.retry_on),
          delay_(options.retry_delay),
          call_(std::forward<Args>(args)...) {
        if constexpr (waits) {
            on_.set(call_.gate());
        }
    }

    RetriedTask(const RetriedTask&) = delete;
    RetriedTask& operator=(const RetriedTask&) = delete;

    void run(WorkerState& self) override {
        if (taken_.exchange(true)) {
            this->drop_reference();  // it is counted where it was begun
        } else if (!this->start()) {
            count(self.completed);
            this->drop_reference();
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
        destroy_call();
        count(self.completed);
        if (this->conclude(Outcome::exception)) {
            run_callbacks_here(self.completed);
        }
    }

    void pass_over(WorkerState& self) override {
        if (is_cancelled() && !was_begun_.load()) {
            count(self.completed);
        }
        this->drop_reference();
    }

    bool begin() noexcept override {
        if (is_cancelled() || taken_.exchange(true)) {
            return false;
        }
        if (!this->start()) {
            taken_ = false;
            return false;
        }
        this->add_reference();  // as in ThreadTask::begin()
        return true;
    }

    bool run_begun(WorkerState& self) override {
        was_begun_ = true;
        stage_ = Stage::calling;
        worker_index_ = self.index;
        depend_no_more();
        auto outcome = Outcome::exception;
        while (is_to_be_called_again(outcome = call_once(self))) {
            this->store_exception(nullptr);
            ++attempt_;
            if (!delay_.is_zero()) {
                return wait_apart(self);
            }
        }
        destroy_call();
        count(self.completed);
        return this->conclude(outcome);
    }

    void may_be_begun() noexcept override { taken_ = false; }

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

    /// Also while it waits for its next call.
    bool is_begun() const noexcept override {
        return taken_.load() || this->state() != FutureState::pending;
    }

    bool is_cancelled() const noexcept override {
        return this->state() == FutureState::cancelled_and_notified;
    }

    void keep() noexcept override { this->add_reference(); }

    void release() noexcept override { this->drop_reference(); }

    std::uint32_t attempt() const noexcept override { return attempt_; }

    Work* as_work() noexcept override { return this; }

    DependsOn* depends_on() noexcept override {
        if constexpr (waits) {
            return &on_;
        } else {
            return nullptr;
        }
    }

private:
    /// As in ThreadTask.
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
        // order: as in ThreadTask.
        completed.store(
            completed.load(std::memory_order_relaxed) + 1, std::memory_order_release
        );
    }

    void run_callbacks_here(std::atomic<std::uint64_t>& completed) {
        // order: relaxed, as in ThreadTask.
        completed.fetch_sub(1, std::memory_order_relaxed);
        stage_ = Stage::callbacks;
        finish_callbacks(completed);
    }

    std::string call_name() const override { return name_of_call(call_); }

    bool is_to_be_called_again(Outcome outcome) {
        return outcome == Outcome::exception && attempt_ <= retries_ &&
               is_retried_exception() && is_free_to_go_on();
    }

    /// What the program's own answer throws is the task's exception.
    bool is_retried_exception() {
        try {
            return retry_on_(this->exception());
        } catch (const mp::detail::ForcedUnwind&) {
            throw;
        } catch (...) {
            this->store_exception(std::current_exception());
            return false;
        }
    }

    /// Until its next call. Its thread is free, and its future can be cancelled. As
    /// run_begun(), if it is to end instead.
    bool wait_apart(WorkerState& self) {
        stage_ = Stage::queued;
        count(self.completed);
        const auto delay = delay_.before(attempt_ - 1);
        this->add_reference();
        const StatePtr<StateBase> kept(this);
        this->pause();
        Aside aside = put_aside(*this, delay);
        // Somebody may have asked for its end, or cancelled it, before it was aside:
        // either request_stop() sees that it is pending, or we what it asked for.
        if (aside.taken && ((!is_cancelled() && !control().is_cancelled_by_now()) ||
                            !take_back(*this))) {
            return false;
        }
        // No program code runs here but the end of the call: the thread may be in the
        // middle of another task.
        if (!this->start()) {
            this->drop_reference();
            return false;
        }
        destroy_call();
        const auto outcome =
            aside.failure != nullptr ? Outcome::exception : Outcome::cancelled;
        this->store_exception(std::move(aside.failure));
        return this->conclude(outcome);
    }

    Outcome call_once(WorkerState& self) {
        if (ThreadControl* const control = control_if_any()) [[unlikely]] {
            control->begin();
        }
        auto outcome = Outcome::value;
        TaskContext* const outer = std::exchange(self.slot.task, this);
        try {
            this->emplace_from(call_);
        } catch (const mp::detail::ForcedUnwind&) {
            throw;
        } catch (...) {
            std::exception_ptr thrown = std::current_exception();
            outcome =
                control_if_any() == nullptr ? Outcome::exception : outcome_of(thrown);
            this->store_exception(std::move(thrown));
        }
        end_call(outer, self);
        return outcome;
    }

    /// `outer`: the task that this thread goes on with.
    void end_call(TaskContext* outer, WorkerState& self) noexcept {
        self.slot.task = outer;
        if (ThreadControl* const control = control_if_any()) [[unlikely]] {
            control->end();
        }
    }

    /// Not when it was cancelled while it ran.
    bool is_free_to_go_on() noexcept {
        ThreadControl* const control = control_if_any();
        return control == nullptr || control->renew();
    }

    ~RetriedTask() override {
        if (this->state() == FutureState::pending) {  // it was not accepted
            call_.~Call();
        }
    }

    /// It leaves the pool first: what the call holds may end it.
    void discard_work() noexcept override {
        const bool was_aside = take_back(*this);
        destroy_call();
        if (was_aside) {
            this->drop_reference();
        }
    }

    /// As of ThreadTask. It may have ended its call, and wait for the next one.
    StopAnswer request_stop() override {
        control().stop(SoftStop::cancelled);
        return this->state() == FutureState::pending ? StopAnswer::queued
                                                     : StopAnswer::yes;
    }

    const std::uint32_t retries_;
    const RetryOn retry_on_;
    const RetryDelay delay_;
    union {
        Call call_;  // until it has run for the last time, or was cancelled
    };
    std::atomic<bool> taken_{false};  // by the thread that calls it, to the end
    std::atomic<bool> was_begun_{false};
    std::uint32_t attempt_ = 1;  // of the thread that calls it
    [[no_unique_address]] std::conditional_t<waits, DependsOn, Nothing> on_;
};

template <class... P>
struct ParameterList {};

template <class R, class... P>
ParameterList<P...> parameters_of(R (*)(P...));
template <class R, class... P>
ParameterList<P...> parameters_of(R (*)(P...) noexcept);
template <class R, class F, class... P>
ParameterList<P...> parameters_of(R (F::*)(P...));
template <class R, class F, class... P>
ParameterList<P...> parameters_of(R (F::*)(P...) const);
template <class R, class F, class... P>
ParameterList<P...> parameters_of(R (F::*)(P...) noexcept);
template <class R, class F, class... P>
ParameterList<P...> parameters_of(R (F::*)(P...) const noexcept);

template <class... Args, class... P>
constexpr bool leaves_what_has_no_copy(ParameterList<P...>) {
    if constexpr (sizeof...(Args) != sizeof...(P)) {
        return false;
    } else {
        return ((copying<Args> == Copying::works || std::is_lvalue_reference_v<P>)&&...
        );
    }
}

/// Whether it can be called several times with the same arguments. What a class
/// declares of its copies is not believed: an argument that may have none has to go to
/// a reference.
template <class R, class Fn, class... Args>
constexpr bool is_repeatable() {
    if constexpr (((copying<Args> == Copying::works) && ...)) {
        return std::is_invocable_r_v<R, Fn&, Args&...>;
    } else if constexpr (requires { parameters_of(std::declval<Fn>()); }) {
        return leaves_what_has_no_copy<Args...>(
                   decltype(parameters_of(std::declval<Fn>()))()
               ) &&
               std::is_invocable_r_v<R, Fn&, Args&...>;
    } else if constexpr (requires { parameters_of(&Fn::operator()); }) {
        return leaves_what_has_no_copy<Args...>(decltype(parameters_of(&Fn::operator())
               )()) &&
               std::is_invocable_r_v<R, Fn&, Args&...>;
    } else {
        return false;
    }
}

[[noreturn]] inline void throw_not_repeatable() {
    throw std::invalid_argument(
        "submit(): a call with .retry_on may be made several times, and this one "
        "cannot: it takes an argument that cannot be copied by value, or as T&&. "
        "It would have to take it as T& or const T&"
    );
}

/// A call with these arguments, if it can be made several times.
template <class R, class Fn, class... Args>
RetriedTask<R, RepeatedCall<std::decay_t<Fn>, std::decay_t<Args>...>>*
new_retried_task(const SubmitOptions& options, Fn&& fn, Args&&... args) {
    using Call = RepeatedCall<std::decay_t<Fn>, std::decay_t<Args>...>;
    if constexpr (is_repeatable<R, std::decay_t<Fn>, std::decay_t<Args>...>()) {
        return new RetriedTask<R, Call>(
            options, std::in_place, std::forward<Fn>(fn), std::forward<Args>(args)...
        );
    } else {
        throw_not_repeatable();
    }
}

}  // namespace futures::detail
