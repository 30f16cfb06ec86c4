// SPDX-License-Identifier: BSL-1.0
// ManagerThread: one thread per pool. It takes results when no client does, runs
// callbacks, and sees to its workers: it sleeps only in epoll, on the doorbell, the
// guard timer, the limit timer and the workers' pidfds.
// Python:  concurrent.futures.process._ExecutorManagerThread.
#pragma once

#include "mp/timeout.hpp"

#include "future/thread_duties.hpp"
#include "os/epoll.hpp"
#include "process_pool/board.hpp"

#include <cstdint>
#include <memory>
#include <thread>
#include <vector>

namespace futures::detail {

/// What the pool wants to be done by the manager's thread.
class ManagerDuties {
public:
    ManagerDuties() = default;
    ManagerDuties(const ManagerDuties&) = delete;
    ManagerDuties& operator=(const ManagerDuties&) = delete;
    virtual ~ManagerDuties() = default;

    /// After each time it was woken by something else than a result. Returns false when
    /// the thread is to end.
    virtual bool housekeeping() noexcept = 0;

    /// Workers ask for something over their links.
    virtual void asked() noexcept {}

    /// The pool has been idle for a while.
    virtual void idle() noexcept = 0;

    /// The descriptor of watch_steps() is readable. housekeeping() follows.
    virtual void step_due() noexcept {}

    /// The process of this worker is gone.
    virtual void worker_gone(std::uint32_t worker) noexcept = 0;
};

class ManagerThread final : private ThreadDuties {
public:
    ManagerThread(Board& board, ManagerDuties& duties);
    ManagerThread(const ManagerThread&) = delete;
    ManagerThread& operator=(const ManagerThread&) = delete;

    /// Requires: it is to end, or never started.
    ~ManagerThread();

    /// `keep_alive` lives as long as the thread. Throws std::system_error when there is
    /// no thread to be had.
    void start(const std::shared_ptr<void>& keep_alive);

    /// Waits until it has ended. Any threads but the manager's.
    void join();

    bool is_current() const noexcept;

    /// For the manager itself, in a callback: goes on with what it does, until woken.
    void turn_once();

    /// For the manager itself: it is joined when the program exits.
    void join_at_exit();

    /// In a forked child, where the thread does not exist: forgets it.
    void abandon() noexcept;

    /// Tasks may wait for their time from now on. Throws std::system_error.
    void watch_delays();

    // -- the manager itself, or before start()

    /// worker_gone() is called when this descriptor becomes readable.
    void watch(std::uint32_t worker, int pidfd);
    void unwatch(int pidfd) noexcept;

    /// step_due() is called when this descriptor becomes readable.
    void watch_steps(int timer);

private:
    void run(const std::shared_ptr<void>& keep_alive) MP_EXCLUDES(thread_mutex_);
    void loop();
    void start_locked(const std::shared_ptr<void>& keep_alive)
        MP_REQUIRES(thread_mutex_);
    bool replace(const std::shared_ptr<void>& keep_alive) noexcept
        MP_EXCLUDES(thread_mutex_);
    std::thread next_to_join() MP_EXCLUDES(thread_mutex_);
    bool spin() noexcept;
    void look(const mp::Deadline& deadline) noexcept;
    void turn(const mp::Deadline& deadline) override;

    void ring() noexcept override { board_.doorbell().ring(); }

    // Set once in the constructor.
    Board& board_;
    ManagerDuties& duties_;
    mp::os::Epoll epoll_;

    // Held by the thread that joins.
    mp::detail::Mutex join_mutex_;

    // Guarded by thread_mutex_.
    mp::detail::Mutex thread_mutex_;
    /// The last one is the manager; one before it ended itself in a callback.
    std::vector<std::thread> threads_ MP_GUARDED_BY(thread_mutex_);

    // The thread's own.
    mp::detail::SpinHistory spins_;
    int busy_turns_ = 0;
    bool going_ = true;
    bool left_to_exit_ = false;  ///< the threads are joined as the program ends
};

}  // namespace futures::detail
