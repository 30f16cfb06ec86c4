// SPDX-License-Identifier: BSL-1.0
// PoolThread: a thread of a thread pool, as a wait for futures sees it. Before it
// sleeps it may run what it waits for; while it sleeps its pool counts it as blocked.
// The idea is in docs/concepts/deadlocks.md.
// Threads: each has its own.
#pragma once

#include "futures/detail/state.hpp"
#include "mp/detail/creator.hpp"
#include "mp/timeout.hpp"

#include <cstddef>

namespace futures::detail {

/// What a thread is about to sleep for: the first of some futures.
class Wait {
public:
    explicit Wait(const mp::Deadline& deadline) noexcept
        : forever_(deadline.is_forever()) {}

    Wait(const Wait&) = delete;
    Wait& operator=(const Wait&) = delete;

    virtual std::size_t size() const noexcept = 0;
    /// Null: this one is not waited for any more.
    virtual StateBase* future(std::size_t i) const noexcept = 0;

    /// Without a deadline. One with a deadline ends by itself.
    bool is_forever() const noexcept { return forever_; }

protected:
    ~Wait() = default;

private:
    const bool forever_;
};

class WaitForOne final : public Wait {
public:
    WaitForOne(StateBase& state, const mp::Deadline& deadline) noexcept
        : Wait(deadline), state_(state) {}

    std::size_t size() const noexcept override { return 1; }

    StateBase* future(std::size_t /*i*/) const noexcept override { return &state_; }

private:
    StateBase& state_;
};

/// Something that comes from elsewhere, for a future or none.
class WaitElsewhere final : public Wait {
public:
    WaitElsewhere(StateBase* state, const mp::Deadline& deadline) noexcept
        : Wait(deadline), state_(state) {}

    std::size_t size() const noexcept override { return state_ == nullptr ? 0 : 1; }

    StateBase* future(std::size_t /*i*/) const noexcept override { return state_; }

private:
    StateBase* const state_;
};

class PoolThread {
public:
    PoolThread() = default;
    PoolThread(const PoolThread&) = delete;
    PoolThread& operator=(const PoolThread&) = delete;

    /// This thread, if it is one; null for others, and in a forked child.
    static PoolThread* of_this_thread() noexcept {
        PoolThread* const thread = slot();
        return thread != nullptr && thread->creator_.is_here() ? thread : nullptr;
    }

    /// Runs the task whose future it is, or one that it depends on, if it is one of
    /// this thread's pool that no thread has begun, and the stack has room; or lets
    /// what depends on such a one go on. False: it did nothing.
    virtual bool run_awaited(StateBase& state) = 0;

    /// The same where the first of several is waited for, for threads that have no
    /// other way: sleeps until one is done, or was run. False: it did nothing.
    virtual bool run_one_of(const Wait& /*wait*/) { return false; }

    /// Before this thread sleeps. Throws DeadlockError when it would sleep for ever.
    virtual void begin_wait(const Wait& wait) = 0;
    virtual void end_wait(const Wait& wait) noexcept = 0;

protected:
    ~PoolThread() = default;

    void is_this_thread() noexcept { slot() = this; }

    static void is_no_thread() noexcept { slot() = nullptr; }

private:
    static PoolThread*& slot() noexcept {
        thread_local PoolThread* thread = nullptr;
        return thread;
    }

    const mp::detail::Creator creator_;
};

/// A thread, if it is one of a pool, sleeps while this lives.
class Blocked {
public:
    Blocked(PoolThread* thread, const Wait& wait) : thread_(thread), wait_(wait) {
        if (thread_ != nullptr) {
            thread_->begin_wait(wait_);
        }
    }

    Blocked(const Blocked&) = delete;
    Blocked& operator=(const Blocked&) = delete;

    ~Blocked() {
        if (thread_ != nullptr) {
            thread_->end_wait(wait_);
        }
    }

private:
    PoolThread* const thread_;
    const Wait& wait_;
};

}  // namespace futures::detail
