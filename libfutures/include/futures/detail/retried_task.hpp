// SPDX-License-Identifier: BSL-1.0
// RetriedTask: a call of a thread pool that is made again when it throws what its
// options name.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any, as ThreadTask.
#pragma once

#include "futures/detail/copying.hpp"
#include "futures/detail/thread_task.hpp"
#include "futures/submit_options.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <cstdint>
#include <exception>
#include <stdexcept>
#include <tuple>
#include <type_traits>
#include <utility>

namespace futures::detail {

/// While it lives, shutdown({.cancel_futures = true}) of this thread's pool cancels the
/// task, too, which waits in its thread.
class WaitingInThread {
public:
    explicit WaitingInThread(Work& work);
    WaitingInThread(const WaitingInThread&) = delete;
    WaitingInThread& operator=(const WaitingInThread&) = delete;
    ~WaitingInThread();

    /// The pool cancels what has not begun.
    bool is_to_end() const noexcept { return is_to_end_; }

private:
    Work& work_;
    bool is_to_end_ = false;
};

/// A callable with its arguments, which it keeps: each call gets them as lvalues.
template <class Fn, class... Args>
class RepeatedCall {
public:
    template <class F, class... A>
    explicit RepeatedCall(std::in_place_t, F&& fn, A&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<A>(args)...) {}

    decltype(auto) operator()() { return std::apply(fn_, args_); }

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
          call_(std::forward<Args>(args)...) {}

    RetriedTask(const RetriedTask&) = delete;
    RetriedTask& operator=(const RetriedTask&) = delete;

    void run(std::atomic<std::uint64_t>& completed) override {
        if (stage_ == Stage::callbacks) {
            finish_callbacks(completed);
            return;
        }
        auto outcome = Outcome::exception;
        bool started = stage_ == Stage::calling;
        if (started) {
            this->store_exception(thread_ended_in_task());
            call_.~Call();
        } else if (this->start()) {
            stage_ = Stage::calling;
            started = call(outcome);
            if (started) {
                call_.~Call();
            }
        }
        // order: as in ThreadTask::run().
        completed.store(
            completed.load(std::memory_order_relaxed) + 1, std::memory_order_release
        );
        if (!started) {
            this->drop_reference();
        } else if (this->conclude(outcome)) {
            // order: as in ThreadTask::run().
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

    /// False when it was cancelled between two calls.
    bool call(Outcome& outcome) {
        for (std::uint32_t retry = 1;; ++retry) {
            try {
                this->emplace_from(call_);
                outcome = Outcome::value;
                return true;
            } catch (const mp::detail::ForcedUnwind&) {
                throw;
            } catch (...) {
                this->store_exception(std::current_exception());
            }
            if (retry > retries_ || !retry_on_(this->exception())) {
                return true;
            }
            if (!delay_.is_zero() && !wait(mp::Deadline(delay_.before(retry)))) {
                return false;
            }
            this->store_exception(nullptr);
        }
    }

    bool wait(const mp::Deadline& deadline) {
        stage_ = Stage::queued;
        this->pause();
        {
            const WaitingInThread waiting(*this);
            if (waiting.is_to_end()) {
                this->cancel();
            }
            this->sleep_until(false, deadline);
        }
        if (!this->start()) {
            return false;
        }
        stage_ = Stage::calling;
        return true;
    }

    void finish_callbacks(std::atomic<std::uint64_t>& completed) {
        this->run_callbacks();
        this->drop_reference();
        // order: as in ThreadTask::run().
        completed.fetch_add(1, std::memory_order_release);
    }

    ~RetriedTask() override {
        if (this->state() == FutureState::pending) {  // it was not accepted
            call_.~Call();
        }
    }

    void discard_work() noexcept override { call_.~Call(); }

    const std::uint32_t retries_;
    const RetryOn retry_on_;
    const RetryDelay delay_;
    union {
        Call call_;  // until it has run for the last time, or was cancelled
    };
    Stage stage_ = Stage::queued;  // of the thread that runs it
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
    if constexpr (!std::is_invocable_r_v<R, Fn&, Args&...>) {
        return false;
    } else if constexpr (((copying<Args> == Copying::works) && ...)) {
        return true;
    } else if constexpr (requires { parameters_of(std::declval<Fn>()); }) {
        return leaves_what_has_no_copy<Args...>(
            decltype(parameters_of(std::declval<Fn>()))()
        );
    } else if constexpr (requires { parameters_of(&Fn::operator()); }) {
        return leaves_what_has_no_copy<Args...>(decltype(parameters_of(&Fn::operator())
        )());
    } else {
        return false;
    }
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
        throw std::invalid_argument(
            "submit(): a call with .retry_on may be made several times, and this one "
            "cannot: it takes an argument that cannot be copied by value, or as T&&. "
            "It would have to take it as T& or const T&"
        );
    }
}

}  // namespace futures::detail
