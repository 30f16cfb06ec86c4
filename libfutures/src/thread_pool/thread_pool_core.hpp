// SPDX-License-Identifier: BSL-1.0
// ThreadPool: the queue, the threads, and who of them searches or sleeps.
//
// A worker that finds no work searches for a while, then sleeps. A submitter wakes a
// sleeper only when nobody searches; a searcher that finds work and was the last one
// wakes the next sleeper if there is more work. Each says first what it does and looks
// then (sequentially consistent): the submitter adds work, then reads `sleeping_` and
// `searching_`; the worker enters itself as sleeping, stops searching, then looks for
// work. So one of the two sees the other.
#pragma once

#include "futures/executor.hpp"
#include "futures/thread_pool.hpp"
#include "mp/detail/creator.hpp"
#include "mp/detail/futex.hpp"
#include "mp/thread_safety.hpp"

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

private:
    enum class Mode : std::uint8_t { open, closed, broken };

    struct alignas(64) Worker {
        // Own synchronisation.
        std::atomic<std::uint64_t> completed{0};  // tasks; written by the worker
        mp::detail::FutexWord woken{0};           // see sleep()
        // Set once, before the thread starts.
        std::string name;
        Worker* older = nullptr;
        // Guarded by join_mutex_.
        std::thread thread;
    };

    // -- threads, by who submits
    void need_worker();
    bool all_are_busy() const noexcept;
    void check_open() const;
    void check_accepted(Work& work);

    // -- in the workers
    void work(Worker& self) noexcept;
    bool initialise() noexcept;
    Work* search(Worker& self) noexcept;
    bool sleep(Worker& self) noexcept;
    bool may_end() noexcept;

    void wake_one() noexcept;
    void wake_all() noexcept;
    void break_with(std::exception_ptr cause) noexcept;
    void close(Mode mode) noexcept;
    void fail_queued() noexcept;
    void cancel_queued() noexcept;
    void finish_at_exit() noexcept;
    void join() noexcept;
    bool is_own_thread() const noexcept;
    std::exception_ptr broken() const;

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
    alignas(64) std::atomic<std::size_t> sleeping_{0};   // size of sleepers_
    alignas(64) std::atomic<std::size_t> searching_{0};  // woken ones included

    alignas(64) mutable mp::detail::Mutex sleepers_mutex_;
    std::vector<Worker*> sleepers_ MP_GUARDED_BY(sleepers_mutex_);

    mutable mp::detail::Mutex mutex_;
    std::list<Worker> workers_ MP_GUARDED_BY(mutex_);
    std::size_t alive_ MP_GUARDED_BY(mutex_) = 0;
    std::exception_ptr broken_cause_ MP_GUARDED_BY(mutex_);

    mp::detail::Mutex join_mutex_;  // taken before mutex_
};

}  // namespace futures::detail
