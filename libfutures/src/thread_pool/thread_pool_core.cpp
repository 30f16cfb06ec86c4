// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/thread_pool_core.hpp"

#include "mp/errors.hpp"

#include "executor/join_at_exit.hpp"
#include "future/exception_text.hpp"
#include "os/spin.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace futures::detail {

namespace {

struct ThisThread {
    const ThreadPool* pool = nullptr;
    const std::string* name = nullptr;
};

thread_local ThisThread this_thread;

[[noreturn]] void throw_exiting() {
    throw mp::StateError("no new work is accepted: the program is exiting");
}

std::size_t max_searchers() noexcept {
    static const std::size_t cpus = std::max(1U, std::thread::hardware_concurrency());
    return cpus;
}

}  // namespace

ThreadPool::ThreadPool(
    std::size_t max_workers, std::string prefix, std::function<void()> init
)
    : max_workers_(max_workers),
      prefix_(std::move(prefix)),
      initializer_(std::move(init)) {}

void ThreadPool::register_for_exit() {
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    exit_part_ = mp::detail::add_exit_part(
        mp::detail::ExitPhase::executors,
        [watched = weak_from_this()] {
            if (const auto pool = watched.lock()) {
                pool->finish_at_exit();
            }
        }
    );
    mp::detail::ensure_exit_step();
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
    queue_.push(work);
    if (sleeping_.load() != 0 && searching_.load() == 0) {
        wake_one();
    }
    if (mode_.load() != Mode::open) {
        check_accepted(work);
    }
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
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    if (mode_.load() == Mode::closed) {
        throw mp::StateError("the thread pool " + prefix_ + " was shut down");
    }
}

/// Each future, and each submit(), gets an exception object of its own.
std::exception_ptr ThreadPool::broken() const {
    std::exception_ptr cause;
    {
        const mp::detail::MutexLock lock(mutex_);
        cause = broken_cause_;
    }
    const BrokenThreadPool error(
        "the initializer of a thread of " + prefix_ +
        " failed: the thread pool is not usable any more"
    );
    if (cause == nullptr) {
        return std::make_exception_ptr(error);
    }
    try {
        try {
            std::rethrow_exception(cause);
        } catch (...) {
            std::throw_with_nested(error);
        }
    } catch (...) {
        return std::current_exception();
    }
}

/// The executor was closed or broken while the work was added. If a worker is left, it
/// looks at the queue once more before it ends; if none is, nobody will.
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
    return queue_.pushed() - completed >= threads_.load(std::memory_order_relaxed);
}

void ThreadPool::need_worker() {
    const mp::detail::MutexLock lock(mutex_);
    const std::size_t number = threads_.load();
    if (number >= max_workers_ || mode_.load() != Mode::open || !all_are_busy()) {
        return;
    }
    {
        const mp::detail::MutexLock sleepers_lock(sleepers_mutex_);
        sleepers_.reserve(number + 1);
    }
    Worker& worker = workers_.emplace_back();
    worker.name = prefix_ + "_" + std::to_string(number);
    worker.older = newest_.load();
    try {
        worker.thread =
            std::thread([pool = shared_from_this(), &worker] { pool->work(worker); });
    } catch (const std::system_error&) {
        workers_.pop_back();
        if (number == 0) {
            throw;
        }
        return;  // the others will do it
    }
    newest_ = &worker;
    threads_ = number + 1;
    ++alive_;
}

// Working

void ThreadPool::work(Worker& self) noexcept {
    const mp::detail::LibraryThread counted;
    this_thread = {this, &self.name};
    pthread_setname_np(pthread_self(), self.name.substr(0, 15).c_str());
    if (initialise()) {
        Work* work = queue_.pop();
        while (work != nullptr || (work = search(self)) != nullptr) {
            work->run(self.completed);
            work = queue_.pop();
        }
    }
    this_thread = {};
}

bool ThreadPool::initialise() noexcept {
    if (initializer_ == nullptr) {
        return true;
    }
    try {
        initializer_();
        return true;
    } catch (...) {
        try {
            mp::detail::log_error(
                "exception in the initializer of a thread of " + prefix_ + ": " +
                current_exception_text()
            );
        } catch (...) {
            mp::detail::log_error("exception in the initializer of a thread pool");
        }
        break_with(std::current_exception());
        const mp::detail::MutexLock lock(mutex_);
        --alive_;
        return false;
    }
}

/// The next work, or null when the worker is to end.
Work* ThreadPool::search(Worker& self) noexcept {
    std::size_t others = searching_.fetch_add(1);
    for (;;) {
        Work* work = nullptr;
        const auto found = [&] {
            if (!queue_.looks_empty()) {
                work = queue_.pop();
            }
            // order: relaxed, may_end() looks again.
            return work != nullptr ||
                   mode_.load(std::memory_order_relaxed) != Mode::open;
        };
        if (others < max_searchers()) {
            mp::detail::spin(found);
        } else {
            found();
        }
        if (work != nullptr) {
            if (searching_.fetch_sub(1) == 1 && sleeping_.load() != 0 &&
                !queue_.is_empty()) {
                wake_one();
            }
            return work;
        }
        if (mode_.load() != Mode::open) {
            if (may_end()) {
                searching_.fetch_sub(1);
                return nullptr;
            }
            sched_yield();  // work is just being added
        } else if (!sleep(self)) {
            others = searching_.fetch_add(1);
        } else {
            others = 0;
        }
    }
}

bool ThreadPool::may_end() noexcept {
    const mp::detail::MutexLock lock(mutex_);
    if (mode_.load() == Mode::closed && !queue_.is_empty()) {
        return false;
    }
    --alive_;
    return true;
}

/// Sleeps if there is still no work. True when a waker has already counted this worker
/// as searching.
bool ThreadPool::sleep(Worker& self) noexcept {
    self.woken = 0;
    {
        const mp::detail::MutexLock lock(sleepers_mutex_);
        sleepers_.push_back(&self);
        sleeping_ = sleepers_.size();
    }
    searching_.fetch_sub(1);
    if (!queue_.is_empty() || mode_.load() != Mode::open) {
        const mp::detail::MutexLock lock(sleepers_mutex_);
        const auto at = std::find(sleepers_.begin(), sleepers_.end(), &self);
        if (at != sleepers_.end()) {
            sleepers_.erase(at);
            sleeping_ = sleepers_.size();
            return false;
        }
    }
    while (self.woken.load() == 0) {
        mp::detail::futex_wait(
            self.woken, 0, mp::Deadline(mp::forever), mp::detail::FutexScope::process
        );
    }
    return true;
}

/// Wakes who fell asleep last: its caches are the warmest.
void ThreadPool::wake_one() noexcept {
    Worker* worker = nullptr;
    {
        const mp::detail::MutexLock lock(sleepers_mutex_);
        if (sleepers_.empty()) {
            return;
        }
        worker = sleepers_.back();
        sleepers_.pop_back();
        sleeping_ = sleepers_.size();
        searching_.fetch_add(1);
    }
    worker->woken = 1;
    mp::detail::futex_wake(worker->woken, 1, mp::detail::FutexScope::process);
}

void ThreadPool::wake_all() noexcept {
    while (sleeping_.load() != 0) {
        wake_one();
    }
}

// Ending

void ThreadPool::close(Mode mode) noexcept {
    Mode open = Mode::open;
    mode_.compare_exchange_strong(open, mode);
    wake_all();
}

void ThreadPool::break_with(std::exception_ptr cause) noexcept {
    {
        const mp::detail::MutexLock lock(mutex_);
        if (broken_cause_ == nullptr) {
            broken_cause_ = std::move(cause);
        }
        mode_ = Mode::broken;
    }
    wake_all();
    fail_queued();
}

void ThreadPool::fail_queued() noexcept {
    while (Work* const work = queue_.pop()) {
        work->fail(broken());
    }
}

void ThreadPool::cancel_queued() noexcept {
    while (Work* const work = queue_.pop()) {
        work->cancel_work();
    }
}

void ThreadPool::shutdown(ShutdownOptions options) {
    if (!creator_.is_here()) {
        return;
    }
    if (options.wait && is_own_thread()) {
        throw mp::StateError(
            "shutdown(wait) inside a task of " + prefix_ + " would wait for itself"
        );
    }
    close(Mode::closed);
    if (options.cancel_futures) {
        cancel_queued();
    }
    if (options.wait) {
        join();
    }
}

void ThreadPool::finish_at_exit() noexcept {
    close(Mode::closed);
    // A task that exits the program is not waited for, and neither is what waits for
    // it.
    if (!is_own_thread()) {
        join();
    }
}

void ThreadPool::leave() noexcept {
    if (creator_.is_here()) {
        close(Mode::closed);
        mp::detail::drop_exit_part(exit_part_);
        join();
    }
}

/// All threads but the calling one.
void ThreadPool::join() noexcept {
    const mp::detail::MutexLock joining(join_mutex_);
    Worker* worker = nullptr;
    {
        const mp::detail::MutexLock lock(mutex_);  // nobody is being added any more
        worker = newest_.load();
    }
    for (; worker != nullptr; worker = worker->older) {
        if (!worker->thread.joinable()) {
            continue;
        }
        if (worker->thread.get_id() == std::this_thread::get_id()) {
            join_at_exit(std::move(worker->thread));
        } else {
            worker->thread.join();
        }
    }
}

bool ThreadPool::is_own_thread() const noexcept {
    return this_thread.pool == this;
}

ThreadPoolStatistics ThreadPool::statistics() const {
    return {
        .threads = threads_.load(),
        .sleeping = sleeping_.load(),
        .submitted = queue_.pushed(),
        .begun = queue_.popped(),
    };
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
