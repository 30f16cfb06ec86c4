// SPDX-License-Identifier: BSL-1.0
// ThreadPool: the queue of a thread pool, and its threads, from the first submit() to
// the last join. thread_pool_core.cpp has the work (submitting, making threads, running
// tasks), thread_pool_shutdown.cpp the end (closing, breaking, joining, and what is
// left in the queue). Which thread searches and which sleeps is kept by IdleWorkers.
#pragma once

#include "futures/executor.hpp"
#include "futures/thread_pool.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include "thread_pool/idle_workers.hpp"
#include "thread_pool/work_queue.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <list>
#include <memory>
#include <string>
#include <thread>
#include <vector>

namespace futures::detail {

class ThreadPool final : public std::enable_shared_from_this<ThreadPool> {
public:
    ThreadPool(std::size_t max_workers, std::string prefix, std::function<void()> init);

    /// Throws mp::StateError, BrokenThreadPool, std::bad_alloc, or std::system_error
    /// when no thread can be made: then the work was not accepted.
    void submit(Work& work);

    void shutdown(ShutdownOptions options);
    /// To be called once, when it is owned by a shared_ptr. Throws mp::StateError when
    /// the program is exiting.
    void register_for_exit();

    /// What the executor's destructor does.
    void leave() noexcept;

    ThreadPoolStatistics statistics() const;

    /// The program exits: what was submitted is done first.
    void finish_at_exit() noexcept;

    /// A task that waits in one of its threads. False when what waits is cancelled.
    bool add_waiting(Work& work);
    void remove_waiting(Work& work) noexcept;

    /// The pool whose thread this is, or null.
    static ThreadPool* of_this_thread() noexcept;

private:
    enum class Mode : std::uint8_t { open, closed, broken };

    struct alignas(64) Worker {
        // Own synchronisation.
        std::atomic<std::uint64_t> completed{0};  // tasks; written by the worker
        IdleWorkers::Sleeper sleeper;
        // Set once, before the thread starts.
        std::string name;
        Worker* older = nullptr;
        // Guarded by join_mutex_.
        std::thread thread;
    };

    // -- in submit()
    void check_open() const;
    void check_accepted(Work& work);
    bool all_are_busy() const noexcept;
    void need_worker();

    // -- in the workers
    void start_thread(Worker& worker, Work* first) MP_REQUIRES(mutex_);
    void work(Worker& self, Work* first);
    void thread_ended(Worker& self, Work* unfinished) noexcept;
    bool replace_thread(const Worker& ended, Work* unfinished) noexcept;
    bool initialise();
    void initializer_failed(std::exception_ptr cause);
    Work* search(Worker& self) noexcept;
    bool sleep(Worker& self) noexcept;
    bool may_end() noexcept;
    bool is_own_thread() const noexcept;

    // -- the end
    static void check_not_exiting();
    void close(Mode mode) noexcept;
    void join() noexcept;
    void break_with(std::exception_ptr cause);
    std::exception_ptr broken() const;
    void fail_queued();
    void cancel_queued();

    // Set once in the constructor.
    const std::size_t max_workers_;
    const std::string prefix_;
    const std::function<void()> initializer_;
    const mp::detail::Creator creator_;
    int exit_part_ = 0;

    // Own synchronisation.
    std::atomic<Mode> mode_{Mode::open};
    std::atomic<std::size_t> threads_{0};
    std::atomic<Worker*> newest_{nullptr};
    WorkQueue queue_;
    IdleWorkers idle_;

    mutable mp::detail::Mutex mutex_;
    std::list<Worker> workers_ MP_GUARDED_BY(mutex_);
    std::size_t alive_ MP_GUARDED_BY(mutex_) = 0;
    std::exception_ptr broken_cause_ MP_GUARDED_BY(mutex_);
    std::vector<Work*> waiting_ MP_GUARDED_BY(mutex_);  ///< each in its thread
    bool cancelling_ MP_GUARDED_BY(mutex_) = false;

    mp::detail::Mutex join_mutex_;  // taken before mutex_
};

}  // namespace futures::detail
