// SPDX-License-Identifier: BSL-1.0
// Submitting work, and the threads that do it; thread_pool_waits.cpp has what tasks do
// that wait for others, thread_pool_shutdown.cpp the end.
#include "thread_pool/thread_pool_core.hpp"

#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "executor/exit_hook.hpp"
#include "os/spin.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <memory>
#include <optional>
#include <system_error>
#include <utility>

namespace futures::detail {

namespace {

struct ThisThread {
    ThreadPool* pool = nullptr;
    const WorkerState* worker = nullptr;
    const std::string* name = nullptr;
};

thread_local ThisThread this_thread;

/// A thread that has ended, or is about to.
// NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
struct Joined {
    explicit Joined(std::thread ended) noexcept : thread(std::move(ended)) {}

    ~Joined() {
        if (thread.joinable()) {
            thread.join();
        }
    }

    std::thread thread;
};

std::size_t max_searchers() noexcept {
    static const std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
    return cpus;
}

}  // namespace

ThreadPoolStatistics ThreadPool::statistics() const {
    const std::uint64_t internal = internal_.load();
    const std::uint64_t internal_begun = internal_begun_.load();
    return {
        .threads = threads_.load(),
        .sleeping = idle_.sleeping(),
        .submitted = queue_.pushed() - internal + waiting_.size() + waiting_.ended(),
        .begun = queue_.popped() - internal_begun + waiting_.ended(),
    };
}

// Submitting

void ThreadPool::submit(Work& work) {
    // order: relaxed, check_accepted() looks again.
    if (mode_.load(std::memory_order_relaxed) != Mode::open || !creator_.is_here()) {
        check_open();
    }
    // order: relaxed, need_worker() looks again.
    if (threads_.load(std::memory_order_relaxed) < max_workers_ && all_are_busy()) {
        need_worker();
    }
    work.set_queued_in(number_);
    queue_.push(work);
    idle_.wake_unless_one_searches();
    // Sequentially consistent with relieve(): it says that all are blocked, then looks
    // at the queue.
    if (all_blocked_.load()) [[unlikely]] {
        relieve();
    }
    if (mode_.load() != Mode::open) {
        check_accepted(work);
    }
}

void ThreadPool::inherit_from_this_task(Work& work) const {
    const WorkerState* const worker = is_own_thread() ? this_thread.worker : nullptr;
    if (worker == nullptr || worker->slot.task == nullptr) {
        return;
    }
    // A thread of a pool has nothing else in its slot.
    const auto& parent = static_cast<const Work&>(*worker->slot.task);
    const ThreadControl* const control = parent.control_if_any();
    if (control != nullptr && control->priority != 0) {
        ThreadControl& child = work.control();
        if (child.priority == 0) {
            child.priority = ThreadControl::level_of_child(control->priority);
        }
    }
}

void ThreadPool::await(WaitingTask& task) {
    if (mode_.load() != Mode::open || !creator_.is_here()) {
        check_open();
    }
    if (threads_.load() == 0) {
        need_worker();  // the one that the pool's end waits for
    }
    if (!waiting_.add(task)) {
        check_open();
        throw mp::StateError("the thread pool " + prefix_ + " was shut down");
    }
}

std::exception_ptr ThreadPool::release(Work& work) {
    try {
        if (!creator_.is_here()) {
            check_open();
        }
        if (threads_.load() < max_workers_ && all_are_busy()) {
            need_worker();
        }
        work.set_queued_in(number_);
        queue_.push(work);
    } catch (...) {
        return std::current_exception();
    }
    idle_.wake_unless_one_searches();
    if (all_blocked_.load()) {  // as in submit()
        relieve();
    }
    if (mode_.load() == Mode::broken) {
        fail_queued();
    }
    return nullptr;
}

/// Not while tasks wait for what they depend on, or for their next call, unless nobody
/// would run them.
bool ThreadPool::is_ending() const noexcept {
    const Mode mode = mode_.load();
    return mode == Mode::broken ||
           (mode == Mode::closed && waiting_.empty() && aside_.load() == 0);
}

SoftTimer& ThreadPool::timer() {
    const mp::detail::MutexLock lock(mutex_);
    if (timer_ == nullptr) {
        timer_ = SoftTimer::of_program();
    }
    return *timer_;
}

void ThreadPool::check_open() const {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "the thread pool " + prefix_ +
            " belongs to the parent process: its threads do not exist here"
        );
    }
    if (mode_.load() == Mode::broken) {
        std::rethrow_exception(broken());
    }
    check_not_exiting();
    if (mode_.load() == Mode::closed) {
        throw mp::StateError("the thread pool " + prefix_ + " was shut down");
    }
}

/// The executor was closed or broken while the work was added. If a worker is left, it
/// looks at the queue once more before it ends; if none is, no thread will.
void ThreadPool::check_accepted(Work& work) {
    if (mode_.load() == Mode::broken) {
        fail_queued();
        return;
    }
    bool stranded = false;
    {
        const mp::detail::MutexLock lock(mutex_);
        stranded = alive_ == 0;
    }
    if (stranded) {
        cancel_queued();
    }
    if (work.is_cancelled()) {
        work.keep();  // the queue's reference is gone, and the caller drops it again
        throw mp::StateError("the thread pool " + prefix_ + " was shut down");
    }
}

bool ThreadPool::all_are_busy() const noexcept {
    std::uint64_t completed = 0;
    // order: acquire pairs with need_worker(), so that the worker is visible.
    for (const Worker* worker = newest_.load(std::memory_order_acquire);
         worker != nullptr;
         worker = worker->older) {
        // order: acquire pairs with ThreadTask::run(), so that pushed() is not older.
        completed += worker->completed.load(std::memory_order_acquire);
    }
    // order: relaxed, need_worker() looks again.
    return queue_.pushed() + queue_.pushed_again() - completed >=
           threads_.load(std::memory_order_relaxed);
}

void ThreadPool::need_worker() {
    const mp::detail::MutexLock lock(mutex_);
    const std::size_t number = threads_.load();
    if (number >= max_workers_ || is_ending() || !all_are_busy()) {
        return;
    }
    idle_.reserve(number + 1);
    Worker& worker =
        workers_.emplace_back(*this, prefix_ + "_" + std::to_string(number), number);
    try {
        start_thread(worker, nullptr);
    } catch (const std::system_error& error) {
        workers_.pop_back();
        if (number == 0) {
            throw std::system_error(
                error.code(), "the first thread of " + prefix_ + " cannot be made"
            );
        }
        return;  // the others will do it
    } catch (...) {
        workers_.pop_back();
        throw;
    }
    threads_ = number + 1;
    ++alive_;
    count_blocked();
}

/// A new worker, or one whose thread has ended; that one is joined at the end.
void ThreadPool::start_thread(Worker& worker, Work* first) {
    const auto before = worker.ended && worker.thread.joinable()
                            ? std::make_shared<Joined>(std::move(worker.thread))
                            : nullptr;
    if (!worker.ended) {
        worker.older = newest_.load();
    }
    try {
        worker.thread = std::thread([pool = shared_from_this(),
                                     &worker,
                                     first,
                                     before,
                                     counted = mp::detail::LibraryThread()] {
            pool->work(worker, first);
        });
    } catch (...) {
        if (before != nullptr) {
            worker.thread = std::move(before->thread);
        }
        throw;
    }
    if (!worker.ended) {
        newest_ = &worker;
    }
    worker.ended = false;
    if (left_) {
        join_at_exit(std::move(worker.thread));
    }
}

// Working

/// `first`, if any, is a task that a thread waits for, with one reference.
void ThreadPool::work(Worker& self, Work* first) {
    this_thread = {this, &self, &self.name};
    std::optional<TaskSlotScope> slot_scope(std::in_place, self.WorkerState::slot);
    pthread_setname_np(pthread_self(), self.name.substr(0, 15).c_str());
    bool ready = false;
    bool is_over = false;
    try {
        ready = initialise();
        if (ready) {
            self.is_this_thread();
            work_on(self, first);
            Worker::is_no_thread();
            is_over = true;
            // From here on another thread may have its place.
            slot_scope.reset();
            this_thread.worker = nullptr;
            finalise();
        } else {
            finish(self);
        }
    } catch (const mp::detail::ForcedUnwind&) {
        Worker::is_no_thread();
        if (ready && !is_over) {
            thread_ended(self);
        } else if (!ready) {
            finish(self);
            if (first != nullptr) {
                first->release();
            }
        }
        this_thread = {};
        throw;
    }
    if (!ready && first != nullptr) {
        first->release();
    }
    this_thread = {};
}

void ThreadPool::work_on(Worker& self, Work* first) {
    finish(self);
    if (first != nullptr) {
        run_first(self, *first);
    }
    Work* work = queue_.pop();
    try {
        while (work != nullptr || (work = search(self)) != nullptr) {
            self.task.work = work;
            work->run(self);
            leave_graph(self.task);
            // order: relaxed, retire() looks again.
            if (surplus_.load(std::memory_order_relaxed) && retire(self)) [[unlikely]] {
                return;
            }
            work = queue_.pop();
        }
    } catch (const mp::detail::ForcedUnwind&) {
        self.unfinished.insert(self.unfinished.begin(), work);
        leave_graph(self.task);
        throw;
    }
}

/// What another thread was at that ended itself, the innermost first.
void ThreadPool::finish(Worker& self) {
    while (!self.unfinished.empty()) {
        Work* const work = self.unfinished.back();
        self.unfinished.pop_back();
        self.task.work = work;
        // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
        const struct Left {
            TaskFrame& task;

            ~Left() { leave_graph(task); }
        } left{self.task};
        try {
            work->run_rest(self);
        } catch (const mp::detail::ForcedUnwind&) {
            // In front: behind it stands what ran inside of it.
            self.unfinished.insert(self.unfinished.begin(), work);
            throw;
        }
    }
}

/// A task or a callback called pthread_exit() in this thread: another one takes its
/// place.
void ThreadPool::thread_ended(Worker& self) noexcept {
    if (replace_thread(self)) {
        return;
    }
    finish(self);
    bool last = false;
    {
        const mp::detail::MutexLock lock(mutex_);
        --threads_;  // a submit() makes one as soon as there can be one
        last = --alive_ == 0;
    }
    relieve();
    if (last && (!queue_.is_empty() || aside_.load() != 0)) {
        break_with(std::make_exception_ptr(mp::StateError(
            "the last thread of " + prefix_ +
            " ended itself by pthread_exit(), and no other can be made"
        )));
    }
}

bool ThreadPool::replace_thread(Worker& ended) noexcept {
    try {
        const mp::detail::MutexLock lock(mutex_);
        idle_.reserve(threads_.load());
        Worker& worker = workers_.emplace_back(*this, ended.name, ended.index);
        worker.unfinished.swap(ended.unfinished);
        try {
            start_thread(worker, nullptr);
            return true;
        } catch (...) {
            ended.unfinished.swap(worker.unfinished);
            workers_.pop_back();
        }
    } catch (...) {
        static_cast<void>(0);  // no memory for it
    }
    return false;
}

/// The next work, or null when the worker is to end.
Work* ThreadPool::search(Worker& self) noexcept {
    std::size_t others = idle_.begin_search();
    for (;;) {
        Work* work = nullptr;
        const auto found = [&] {
            if (!queue_.looks_empty()) {
                work = queue_.pop();
            }
            // order: relaxed, may_end() looks again.
            return work != nullptr ||
                   (mode_.load(std::memory_order_relaxed) != Mode::open && is_ending());
        };
        if (others < max_searchers()) {
            mp::detail::spin(found);
        } else {
            found();
        }
        if (work != nullptr) {
            if (idle_.end_search() && idle_.sleeping() != 0 && !queue_.is_empty()) {
                idle_.wake_one();
            }
            return work;
        }
        // order: relaxed, retire() looks again.
        if (surplus_.load(std::memory_order_relaxed) && retire(self)) [[unlikely]] {
            // It may have been woken for work.
            if (idle_.end_search() && idle_.sleeping() != 0 && !queue_.is_empty()) {
                idle_.wake_one();
            }
            return nullptr;
        }
        if (is_ending()) {
            if (may_end()) {
                idle_.end_search();
                return nullptr;
            }
            sched_yield();  // work is just being added
        } else if (!sleep(self)) {
            others = idle_.begin_search();
        } else {
            others = 0;
        }
    }
}

bool ThreadPool::may_end() noexcept {
    const mp::detail::MutexLock lock(mutex_);
    if (mode_.load() == Mode::closed &&
        (aside_.load() != 0 || !queue_.is_empty() || !waiting_.empty())) {
        return false;
    }
    --alive_;
    count_blocked();
    return true;
}

/// Sleeps if there is still no work. True when the waker has already counted this
/// worker as searching.
bool ThreadPool::sleep(Worker& self) noexcept {
    idle_.prepare_sleep(self.sleeper);
    if ((!queue_.is_empty() || is_ending() || surplus_.load()) &&
        idle_.cancel_sleep(self.sleeper)) {
        return false;
    }
    IdleWorkers::sleep(self.sleeper);
    return true;
}

ThreadPool* ThreadPool::of_this_thread() noexcept {
    return this_thread.pool;
}

bool ThreadPool::is_own_thread() const noexcept {
    return this_thread.pool == this;
}

}  // namespace futures::detail

namespace futures {

std::string current_thread_name() {
    if (detail::this_thread.name != nullptr) {
        return *detail::this_thread.name;
    }
    std::string name(16, '\0');
    if (pthread_getname_np(pthread_self(), name.data(), name.size()) != 0) {
        return {};
    }
    name.resize(name.find('\0'));
    return name;
}

}  // namespace futures
