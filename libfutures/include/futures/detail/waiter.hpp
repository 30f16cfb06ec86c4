// SPDX-License-Identifier: BSL-1.0
// Waiter: one thread that waits for the first of many futures.
// Python:  concurrent.futures._base._Waiter and its three children.
// Differs: one kind; what ends the wait is decided by the thread that waits.
// Threads: made and used by one; told by any.
#pragma once

#include "futures/detail/state.hpp"
#include "mp/detail/futex.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <deque>

namespace futures::detail {

class PoolThread;
class ThreadDuties;

class Waiter {
public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    Waiter() = default;
    Waiter(const Waiter&) = delete;
    Waiter& operator=(const Waiter&) = delete;

    /// Leaves all futures that are still watched.
    ~Waiter();

    /// Watches a future under a number; false when there is nothing to wait for. The
    /// future must live until the waiter is gone or next() has returned its number.
    bool watch(StateBase& state, std::size_t number);

    /// The same, of one that ends as soon as it is done(): cancel() is enough.
    bool watch_until_done(StateBase& state, std::size_t number);

    /// The number of the next future that ended, in the order they ended; `none` when
    /// the deadline passed first. A thread of a pool runs the last one that is left if
    /// nobody has begun it. Throws DeadlockError when it would wait for ever.
    std::size_t next(const mp::Deadline& deadline);

private:
    class Node final : public Watcher {
    public:
        Node(
            Waiter& waiter, StateBase& state, std::size_t number, bool hears_cancel
        ) noexcept
            : Watcher(false), waiter_(waiter), state_(&state), number_(number) {
            set_hears_cancel(hears_cancel);
        }

        void told(StateBase& state) noexcept override;

    private:
        friend class Waiter;

        Waiter& waiter_;
        StateBase* state_;  // null: left
        const std::size_t number_;
        Node* next_ended_ = nullptr;
    };

    class WaitForFirst;

    bool watch(StateBase& state, std::size_t number, bool hears_cancel);
    std::size_t take();
    bool run_last(PoolThread& thread, const mp::Deadline& deadline);
    std::size_t sleep_as(PoolThread* thread, const mp::Deadline& deadline);
    std::size_t next_in_turns(ThreadDuties& duties, const mp::Deadline& deadline);
    void leave(Node& node) noexcept;

    // Used by the waiting thread only.
    std::deque<Node> nodes_;
    Node* ended_ = nullptr;  // in order
    std::size_t first_ = 0;  // before it all have been left
    std::size_t left_ = 0;   // so many have not
    // Own synchronisation: those that ended, the latest first.
    std::atomic<Node*> latest_{nullptr};
    mp::detail::FutexWord sleeps_{0};
    std::atomic<ThreadDuties*> duties_{
        nullptr};  ///< rung, while it waits in their turns
};

}  // namespace futures::detail
