// SPDX-License-Identifier: BSL-1.0
// Mailbox: the only way into a loop from other threads.
#pragma once

#include "mp/thread_safety.hpp"

#include "concurrency/detail/intrusive_list.hpp"
#include "concurrency/detail/letter.hpp"
#include "concurrency/loop/driver.hpp"
#include "concurrency/loop/running.hpp"

#include <cstdint>

namespace concurrency::detail {

/// Shared by all who may have something to send, and by the loop, which it outlives.
/// The executor is asked for a turn once for all letters that come before it gives one;
/// an idle loop is asked for nothing.
class Mailbox {
public:
    explicit Mailbox(Driver& driver) noexcept
        : generation_(fork_generation()), driver_(&driver) {}

    Mailbox(const Mailbox&) = delete;
    Mailbox& operator=(const Mailbox&) = delete;

    /// Something new for the loop to do. False when its main task has ended, and in the
    /// child of a fork: the letter is not taken. Throws std::bad_alloc; then it is not
    /// taken, either.
    bool post(Letter& letter);

    /// What a task of the loop waits for: taken as long as there are tasks, whatever
    /// happens.
    bool post_awaited(Letter& letter) noexcept;

    /// Whether this thread is in the loop's executor, as far as that can be seen. False
    /// when the loop has ended.
    bool is_here() const noexcept;

    /// Takes a letter back that has not arrived, if it was sent. By its loop.
    void withdraw(Letter& letter) noexcept;

    /// The main task has ended: from now on post() refuses.
    void end() noexcept;

    /// The loop has ended: what is here comes back.
    void close() noexcept;

    // -- For the loop.

    /// All that has come, in order.
    void take(List<Letter>& batch) noexcept;

private:
    bool is_of_this_process() const noexcept {
        return generation_ == fork_generation();
    }

    const std::uint64_t generation_;
    mutable mp::detail::Mutex mutex_;
    List<Letter> letters_ MP_GUARDED_BY(mutex_);
    Driver* driver_ MP_GUARDED_BY(mutex_);         // null: closed
    bool ended_ MP_GUARDED_BY(mutex_) = false;     // by end()
    bool is_asked_ MP_GUARDED_BY(mutex_) = false;  // for a turn that has not come
};

}  // namespace concurrency::detail
