// SPDX-License-Identifier: BSL-1.0
// ThreadTask: a call of a thread pool, as its queue holds it and its future shares it.
// Python:  concurrent.futures.thread._WorkItem.
// Differs: the call, its future's state and its result are one allocation.
// Threads: any.
#pragma once

#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <new>
#include <tuple>
#include <utility>

namespace futures::detail {

/// A task in the queue of a thread pool.
class Work {
public:
    Work() = default;
    Work(const Work&) = delete;
    Work& operator=(const Work&) = delete;

    /// Runs it unless it was cancelled. Counts it as completed before anybody can know
    /// its result.
    virtual void run(std::atomic<std::uint64_t>& completed) noexcept = 0;
    /// Ends it with an exception unless it was cancelled.
    virtual void fail(std::exception_ptr exception) noexcept = 0;
    /// Ends it as cancelled.
    virtual void cancel_work() noexcept = 0;
    virtual bool is_cancelled() const noexcept = 0;
    /// One reference more.
    virtual void keep() noexcept = 0;

protected:
    ~Work() = default;
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

    void run(std::atomic<std::uint64_t>& completed) noexcept override {
        auto outcome = Outcome::value;
        const bool started = this->start();
        if (started) {
            try {
                this->emplace_from(std::move(call_));
            } catch (...) {
                this->store_exception(std::current_exception());
                outcome = Outcome::exception;
            }
            call_.~Call();
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
            this->run_callbacks();
            this->drop_reference();
            // order: as the store above.
            completed.fetch_add(1, std::memory_order_release);
        }
    }

    void fail(std::exception_ptr exception) noexcept override {
        if (this->start()) {
            call_.~Call();
            this->store_exception(std::move(exception));
            this->finish(Outcome::exception);
        } else {
            this->drop_reference();
        }
    }

    void cancel_work() noexcept override {
        this->cancel();
        this->drop_reference();
    }

    bool is_cancelled() const noexcept override {
        return this->state() == FutureState::cancelled_and_notified;
    }

    void keep() noexcept override { this->add_reference(); }

private:
    ~ThreadTask() override {
        if (this->state() == FutureState::pending) {  // it was not accepted
            call_.~Call();
        }
    }

    void discard_work() noexcept override { call_.~Call(); }

    union {
        Call call_;  // until it has run or was cancelled
    };
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

private:
    Fn fn_;
    std::tuple<Args...> args_;
};

}  // namespace futures::detail
