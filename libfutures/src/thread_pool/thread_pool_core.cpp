// SPDX-License-Identifier: BSL-1.0
// Submitting work, and the threads that do it; thread_pool_shutdown.cpp has the end.
#include "thread_pool/thread_pool_core.hpp"

#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "future/exception_text.hpp"
#include "os/spin.hpp"
#include "util/diagnostics.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>
#include <sched.h>

#include <algorithm>
#include <system_error>
#include <utility>

namespace futures::detail {

namespace {

struct ThisThread {
    ThreadPool* pool = nullptr;
    const std::string* name = nullptr;
};

thread_local ThisThread this_thread;

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

ThreadPoolStatistics ThreadPool::statistics() const {
    return {
        .threads = threads_.load(),
        .sleeping = idle_.sleeping(),
        .submitted = queue_.pushed(),
        .begun = queue_.popped(),
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
    queue_.push(work);
    idle_.wake_unless_one_searches();
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
    return queue_.pushed() - completed >= threads_.load(std::memory_order_relaxed);
}

void ThreadPool::need_worker() {
    const mp::detail::MutexLock lock(mutex_);
    const std::size_t number = threads_.load();
    if (number >= max_workers_ || mode_.load() != Mode::open || !all_are_busy()) {
        return;
    }
    idle_.reserve(number + 1);
    Worker& worker = workers_.emplace_back();
    worker.name = prefix_ + "_" + std::to_string(number);
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
}

void ThreadPool::start_thread(Worker& worker, Work* first) {
    worker.older = newest_.load();
    worker.thread = std::thread([pool = shared_from_this(),
                                 &worker,
                                 first,
                                 counted = mp::detail::LibraryThread()] {
        pool->work(worker, first);
    });
    newest_ = &worker;
}

// Working

/// `first` is what a thread was at that ended itself.
void ThreadPool::work(Worker& self, Work* first) {
    this_thread = {this, &self.name};
    pthread_setname_np(pthread_self(), self.name.substr(0, 15).c_str());
    Work* work = first;
    bool ready = false;
    try {
        ready = initialise();
        if (ready) {
            if (work == nullptr) {
                work = queue_.pop();
            }
            while (work != nullptr || (work = search(self)) != nullptr) {
                work->run(self.completed);
                work = queue_.pop();
            }
        } else if (work != nullptr) {
            work->run(self.completed);
        }
    } catch (const mp::detail::ForcedUnwind&) {
        if (ready) {
            thread_ended(self, work);
        } else if (work != nullptr) {
            work->run(self.completed);
        }
        this_thread = {};
        throw;
    }
    this_thread = {};
}

/// A task or a callback called pthread_exit() in this thread: another one takes its
/// place.
void ThreadPool::thread_ended(Worker& self, Work* unfinished) noexcept {
    if (replace_thread(self, unfinished)) {
        return;
    }
    if (unfinished != nullptr) {
        unfinished->run(self.completed);
    }
    --threads_;  // a submit() makes one as soon as there can be one
    bool last = false;
    {
        const mp::detail::MutexLock lock(mutex_);
        last = --alive_ == 0;
    }
    if (last && !queue_.is_empty()) {
        break_with(std::make_exception_ptr(mp::StateError(
            "the last thread of " + prefix_ +
            " ended itself by pthread_exit(), and no other can be made"
        )));
    }
}

bool ThreadPool::replace_thread(const Worker& ended, Work* unfinished) noexcept {
    try {
        const mp::detail::MutexLock lock(mutex_);
        idle_.reserve(threads_.load());
        Worker& worker = workers_.emplace_back();
        try {
            worker.name = ended.name;
            start_thread(worker, unfinished);
            return true;
        } catch (...) {
            workers_.pop_back();
        }
    } catch (...) {
        static_cast<void>(0);  // no memory for it
    }
    return false;
}

bool ThreadPool::initialise() {
    if (initializer_ == nullptr) {
        return true;
    }
    try {
        initializer_();
        return true;
    } catch (const mp::detail::ForcedUnwind&) {
        // Another thread would not fare better.
        initializer_failed(std::make_exception_ptr(
            mp::StateError("the initializer ended its thread by pthread_exit()")
        ));
        throw;
    } catch (...) {
        try {
            mp::detail::log_error(
                "exception in the initializer of a thread of " + prefix_ + ": " +
                current_exception_text()
            );
        } catch (...) {
            mp::detail::log_error("exception in the initializer of a thread pool");
        }
        initializer_failed(std::current_exception());
        return false;
    }
}

void ThreadPool::initializer_failed(std::exception_ptr cause) {
    break_with(std::move(cause));
    const mp::detail::MutexLock lock(mutex_);
    --alive_;
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
                   mode_.load(std::memory_order_relaxed) != Mode::open;
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
        if (mode_.load() != Mode::open) {
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
    if (mode_.load() == Mode::closed && !queue_.is_empty()) {
        return false;
    }
    --alive_;
    return true;
}

/// Sleeps if there is still no work. True when the waker has already counted this
/// worker as searching.
bool ThreadPool::sleep(Worker& self) noexcept {
    idle_.prepare_sleep(self.sleeper);
    if ((!queue_.is_empty() || mode_.load() != Mode::open) &&
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
