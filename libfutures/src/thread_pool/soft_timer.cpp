// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/soft_timer.hpp"

#include "executor/exit_hook.hpp"
#include "os/signals.hpp"
#include "util/library_thread.hpp"

#include <pthread.h>

#include <atomic>
#include <new>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

/// A process's own: a mutex that was held at a fork is not asked again.
struct Program {
    const mp::detail::Creator creator;
    Program* const parents;  ///< so that it is not taken for lost
    mp::detail::Mutex mutex;
    std::weak_ptr<SoftTimer> timer MP_GUARDED_BY(mutex);

    explicit Program(Program* before) : parents(before) {}
};

std::atomic<Program*> program{nullptr};

Program& this_program() {
    Program* seen = program.load();
    while (seen == nullptr || !seen->creator.is_here()) {
        auto* const made = new Program(seen);
        if (program.compare_exchange_strong(seen, made)) {
            return *made;
        }
        delete made;
    }
    return *seen;
}

}  // namespace

std::shared_ptr<SoftTimer> SoftTimer::of_program() {
    Program& here = this_program();
    const MutexLock lock(here.mutex);
    std::shared_ptr<SoftTimer> timer = here.timer.lock();
    if (timer == nullptr) {
        timer = std::make_shared<SoftTimer>();
        here.timer = timer;
    }
    return timer;
}

SoftTimer::SoftTimer() : core_(std::make_shared<Core>()) {
    const mp::os::SignalsBlocked blocked;  // signals are the program's business
    thread_ = std::thread([core = core_, counted = mp::detail::LibraryThread()] {
        core->run();
    });
}

SoftTimer::~SoftTimer() {
    if (!creator_.is_here()) {
        new (&thread_) std::thread();  // it runs in the process that made us
        return;
    }
    {
        const MutexLock lock(core_->mutex);
        core_->ending = true;
        core_->changed.notify_all();
    }
    if (thread_.get_id() == std::this_thread::get_id()) {
        join_at_exit(std::move(thread_));
    } else {
        thread_.join();
    }
}

bool SoftTimer::add(
    ThreadControl& control, mp::Deadline due, std::uint32_t call, bool is_due_back
) noexcept {
    try {
        const MutexLock lock(core_->mutex);
        const auto at = core_->timers.emplace(due.time_point(), &control);
        control.timed = at;
        control.timed_call = call;
        control.due = due;
        control.is_due_back = is_due_back;
        control.add_reference();
        if (at == core_->timers.begin()) {
            core_->changed.notify_all();
        }
        return true;
    } catch (const std::bad_alloc&) {
        return false;
    }
}

void SoftTimer::remove(ThreadControl& control) noexcept {
    {
        const MutexLock lock(core_->mutex);
        if (!control.timed) {
            return;
        }
        core_->timers.erase(*control.timed);
        control.timed.reset();
    }
    control.drop_reference();
}

void SoftTimer::Core::run() {
    pthread_setname_np(pthread_self(), "mp-limits");
    for (;;) {
        ThreadControl* late = nullptr;
        std::uint32_t call = 0;
        bool is_due_back = false;
        {
            const MutexLock lock(mutex);
            while (!ending && late == nullptr) {
                if (timers.empty()) {
                    changed.wait(mutex);
                } else if (ThreadControl* first = timers.begin()->second;
                           !first->due.expired()) {
                    changed.wait_until(mutex, first->due);
                } else {
                    timers.erase(timers.begin());
                    first->timed.reset();
                    late = first;
                    call = first->timed_call;
                    is_due_back = first->is_due_back;
                }
            }
            if (late == nullptr) {
                return;
            }
        }
        if (is_due_back) {
            bring_back(*late);
        } else {
            late->stop_late(call);  // callbacks of the task run in here
        }
        late->drop_reference();
    }
}

// ---- ThreadControl

void ThreadControl::stop(SoftStop reason) noexcept {
    std::stop_source source(std::nostopstate);
    {
        const MutexLock lock(mutex_);
        if (reason_.load() == SoftStop::no || reason == SoftStop::cancelled) {
            reason_.store(reason);
        }
        source = source_;
    }
    source.request_stop();  // callbacks of the task run in here
}

void ThreadControl::stop_late(std::uint32_t call) noexcept {
    std::stop_source source(std::nostopstate);
    {
        const MutexLock lock(mutex_);
        if (call != call_ || reason_.load() != SoftStop::no) {
            return;
        }
        reason_.store(SoftStop::timeout);
        source = source_;
    }
    source.request_stop();  // callbacks of the task run in here
}

bool ThreadControl::is_cancelled_by_now() const noexcept {
    const MutexLock lock(mutex_);
    return reason_.load() == SoftStop::cancelled;
}

std::stop_token ThreadControl::token() const noexcept {
    const MutexLock lock(mutex_);
    return source_.get_token();
}

bool ThreadControl::renew() noexcept {
    const MutexLock lock(mutex_);
    ++call_;
    if (reason_.load() == SoftStop::timeout) {
        try {
            source_ = std::stop_source();
        } catch (const std::bad_alloc&) {
            return false;
        }
        reason_.store(SoftStop::no);
    }
    return reason_.load() == SoftStop::no;
}

void ThreadControl::begin() noexcept {
    if (timer != nullptr) {
        deadline = mp::Deadline(limit);
        std::uint32_t call = 0;
        {
            const MutexLock lock(mutex_);
            call = call_;
        }
        if (!timer->add(*this, deadline, call)) {
            stop(SoftStop::timeout);  // rather than never
        }
    }
}

void ThreadControl::end() noexcept {
    if (timer != nullptr) {
        timer->remove(*this);
    }
}

}  // namespace futures::detail
