// SPDX-License-Identifier: BSL-1.0
// ThreadPool: the queue of a thread pool, and its threads, from the first submit() to
// the last join. thread_pool_core.cpp has the work (submitting, making threads, running
// tasks), thread_pool_waits.cpp what becomes of tasks that wait for futures and
// thread_pool_spares.cpp of the threads that they keep, thread_pool_aside.cpp of those
// that wait to be run again,
// thread_pool_shutdown.cpp the end (closing, breaking, joining, and what is left in the
// queue). Which thread searches and which sleeps is kept by IdleWorkers.
#pragma once

#include "futures/detail/waiting_task.hpp"
#include "futures/executor.hpp"
#include "futures/thread_pool.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include "future/pool_thread.hpp"
#include "thread_pool/idle_workers.hpp"
#include "thread_pool/soft_timer.hpp"
#include "thread_pool/wait_graph.hpp"
#include "thread_pool/work_line.hpp"

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
    ThreadPool(
        std::size_t max_workers,
        std::string prefix,
        std::function<void()> init,
        std::function<void()> finalizer
    );
    ThreadPool(const ThreadPool&) = delete;
    ThreadPool& operator=(const ThreadPool&) = delete;
    ~ThreadPool();

    /// Throws mp::StateError, BrokenThreadPool, std::bad_alloc, or std::system_error
    /// when no thread can be made: then the work was not accepted.
    void submit(Work& work);

    /// Before the first task with a priority.
    void allow_priorities() noexcept { any_priorities_ = true; }

    /// Before a task is submitted: without a priority it gets that of the task which
    /// submits it, if that is one of this pool. Throws std::bad_alloc.
    void inherit_priority(Work& work) const {
        // order: relaxed, the parent's priority is in this thread.
        if (any_priorities_.load(std::memory_order_relaxed)) [[unlikely]] {
            inherit_from_this_task(work);
        }
    }

    /// What a task with a limit is to be given first. Throws std::system_error.
    SoftTimer& timer();

    /// Lets a task wait for what it depends on; it counts as submitted. Throws as
    /// submit().
    void await(WaitingTask& task);

    /// Of one that waited: now it may run. Before it leaves the room.
    std::exception_ptr release(Work& work);

    WaitingRoom& waiting() noexcept { return waiting_; }

    void shutdown(ShutdownOptions options);
    /// To be called once, when it is owned by a shared_ptr. Throws mp::StateError when
    /// the program is exiting.
    void register_for_exit();

    /// What the executor's destructor does.
    void leave() noexcept;

    ThreadPoolStatistics statistics() const;

    /// The program exits: what was submitted is done first.
    void finish_at_exit() noexcept;

    // -- tasks that wait apart from the queue for their next call

    /// See detail::put_aside().
    Aside put_aside(Work& work, mp::Deadline until) noexcept;
    /// Its rest is over.
    void bring_back(ThreadControl& control) noexcept;
    /// See detail::take_back().
    bool take_back(ThreadControl& control) noexcept;

    static std::shared_ptr<ThreadPool> find(std::uint32_t number) noexcept;

    /// The pool whose thread this is, or null.
    static ThreadPool* of_this_thread() noexcept;

private:
    enum class Mode : std::uint8_t { open, closed, broken };

    struct alignas(64) Worker final : PoolThread, WorkerState {
        Worker(ThreadPool& its_pool, std::string its_name, std::size_t its_index)
            : pool(its_pool), name(std::move(its_name)) {
            index = static_cast<std::uint32_t>(its_index);
            waiting.innermost = &task;
            unfinished.reserve(1);
        }

        bool run_awaited(StateBase& state) override {
            return pool.run_awaited(*this, state);
        }

        void begin_wait(const Wait& wait) override { pool.begin_wait(*this, wait); }

        void end_wait(const Wait& wait) noexcept override {
            pool.end_wait(*this, wait);
        }

        using PoolThread::is_no_thread;
        using PoolThread::is_this_thread;

        // Own synchronisation.
        IdleWorkers::Sleeper sleeper;
        // Set once, before the thread starts.
        ThreadPool& pool;
        const std::string name;
        Worker* older = nullptr;
        // Used by its thread.
        TaskFrame task;  // what it took from the queue
        WaitingThread waiting;
        bool by_hand = false;   // it waits for a future of nobody
        std::size_t depth = 0;  // tasks that run inside of that one
        // A thread ended in them, the outermost first. Has room for all that run.
        std::vector<Work*> unfinished;
        // Guarded by the pool's mutex_.
        std::thread thread;
        bool ended = false;  // there is no thread, and it is not counted
    };

    // -- in submit()
    void inherit_from_this_task(Work& work) const;
    void check_open() const;
    void check_accepted(Work& work);
    bool all_are_busy() const noexcept;
    bool is_ending() const noexcept;
    void need_worker();

    // -- in the workers
    void start_thread(Worker& worker, Work* first) MP_REQUIRES(mutex_);
    void work(Worker& self, Work* first);
    void work_on(Worker& self, Work* first);
    static void leave_graph(TaskFrame& frame) noexcept {
        if (frame.entered) [[unlikely]] {
            WaitGraph::of_this_process().leave(frame);
        }
    }

    static void finish(Worker& self);
    void thread_ended(Worker& self) noexcept;
    bool replace_thread(Worker& ended) noexcept;
    bool initialise();
    void finalise();
    void initializer_failed(std::exception_ptr cause);
    Work* search(Worker& self) noexcept;
    bool sleep(Worker& self) noexcept;
    bool may_end() noexcept;
    bool is_own_thread() const noexcept;

    // -- tasks that wait
    class Inner;
    class CallbacksOf;

    void can_be_found();
    bool run_awaited(Worker& self, StateBase& state);
    bool run_inside(Worker& self, Work& work);
    void run_first(Worker& self, Work& work);
    void drop_begun(Worker& self, Work* begun = nullptr);
    void pass_on_callbacks(Work& work);
    Work* passed_on() noexcept MP_REQUIRES(mutex_);
    void forget_passed_on(CallbacksOf& callbacks) noexcept;
    void begin_wait(Worker& self, const Wait& wait);
    void end_wait(Worker& self, const Wait& wait) noexcept;
    void relieve() noexcept;
    Work* relieve_locked(bool& at_limit) noexcept MP_REQUIRES(mutex_);
    bool add_spare(Work* first) noexcept MP_REQUIRES(mutex_);
    void count_blocked() noexcept MP_REQUIRES(mutex_);
    bool retire(Worker& self) noexcept;

    Work* take_from_aside(ThreadControl& control) noexcept MP_REQUIRES(mutex_);
    Work* take_any_from_aside() noexcept;
    void one_less_aside() noexcept;
    void queue_again(Work& work) noexcept;

    // -- the end
    static void check_not_exiting();
    void close(Mode mode) noexcept;
    void join() noexcept;
    void leave_threads() noexcept;
    std::thread thread_to_join() noexcept;
    void drop_timer() noexcept;
    void break_with(std::exception_ptr cause);
    std::exception_ptr broken() const;
    void fail_queued();
    void cancel_queued();

    // Set once in the constructor.
    const std::size_t max_workers_;
    const std::uint32_t number_;
    const std::string prefix_;
    const std::function<void()> initializer_;
    const std::function<void()> finalizer_;
    const mp::detail::Creator creator_;
    int exit_part_ = 0;

    // Own synchronisation.
    std::atomic<Mode> mode_{Mode::open};
    // Written under mutex_.
    std::atomic<bool> all_blocked_{false};  // each thread waits for futures
    std::atomic<bool> surplus_{false};      // one too many for those that do not wait
    std::atomic<bool> any_priorities_{false};
    std::atomic<std::size_t> aside_{
        0};  // wait for their next call, or go back just now
    std::atomic<std::size_t> threads_{0};
    std::atomic<Worker*> newest_{nullptr};
    std::atomic<std::uint64_t> internal_{0};  // of what was pushed, no tasks
    std::atomic<std::uint64_t> internal_begun_{0};
    WorkLine queue_;
    IdleWorkers idle_;
    WaitingRoom waiting_{[this] {
        idle_.wake_all();
    }};

    mutable mp::detail::Mutex mutex_;
    std::list<Worker> workers_ MP_GUARDED_BY(mutex_);
    std::size_t alive_ MP_GUARDED_BY(mutex_) = 0;
    std::size_t blocked_ MP_GUARDED_BY(mutex_) = 0;          // of these
    std::size_t blocked_by_hand_ MP_GUARDED_BY(mutex_) = 0;  // for futures of nobody
    bool told_all_blocked_ MP_GUARDED_BY(mutex_) = false;
    bool left_ MP_GUARDED_BY(mutex_) = false;  // nobody is going to join its threads
    // In the queue and not begun, the oldest first.
    CallbacksOf* first_passed_on_ MP_GUARDED_BY(mutex_) = nullptr;
    CallbacksOf* last_passed_on_ MP_GUARDED_BY(mutex_) = nullptr;
    std::exception_ptr broken_cause_ MP_GUARDED_BY(mutex_);
    std::shared_ptr<SoftTimer> timer_ MP_GUARDED_BY(mutex_);  // null: no task needs it
    ThreadControl* first_aside_ MP_GUARDED_BY(mutex_) = nullptr;
    bool cancelling_ MP_GUARDED_BY(mutex_) = false;

    mp::detail::Mutex join_mutex_;  // taken before mutex_
};

}  // namespace futures::detail
