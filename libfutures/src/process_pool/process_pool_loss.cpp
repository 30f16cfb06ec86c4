// SPDX-License-Identifier: BSL-1.0
// The pool's workers: how they die, what becomes of their tasks, and when that breaks
// the pool.
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "os/control_group.hpp"
#include "process_pool/crash_report.hpp"
#include "process_pool/process_pool_core.hpp"
#include "process_pool/worker_tree.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

/// Attempts of a task under OnWorkerLoss::retry that says nothing of retries.
constexpr std::uint32_t usual_retries = 2;

}  // namespace

void ProcessPool::worker_gone(std::uint32_t index) noexcept {
    Worker gone;
    bool ending = false;
    {
        const MutexLock lock(mutex_);
        gone = workers_.take(index);
        ending = stage_ == Stage::stopping || broken_ || forced_ != 0;
        max_now_ = max_workers;
    }
    if (!gone.process) {
        return;
    }
    manager_.unwatch(gone.sentinel);
    alive_.fetch_sub(1);
    try {
        gone.process->join();
        gone.out_of_memory = was_out_of_memory(gone);
        // While the task can still be seen: it may have ended, but for the end of what
        // its call held.
        const bool stopped = !ending && watching_ && is_being_stopped(index);
        const bool struck = !ending && !stopped && struck_by_limit(index, gone);
        board_.take_ready_result(index);
        if (stopped) {
            recover_stopped(index, gone);
        } else if (gone.condemned == Condemned::slow_start || gone.condemned == Condemned::slow_end) {
            slow_worker_gone(index, gone);
        } else if (struck) {
            recover_from_limit(index, gone);
        } else if (ending || retired(index, gone)) {
            worker_ended(index, gone);
        } else {
            worker_lost(index, gone);
        }
        close_link(index);
        gone.process->close();
    } catch (...) {
        break_pool(
            "recovering what a worker left behind failed: " +
                mp::detail::describe_exception(std::current_exception()),
            std::current_exception()
        );
    }
}

void ProcessPool::worker_lost(std::uint32_t index, const Worker& worker) {
    const std::string what = end_of_worker(worker);
    const auto phase = board_.view().control(index).phase.load();
    Message initializer;
    const bool has_initializer = options_.shared.keep() || options_.initializer;
    const bool has_settings = options_.nice || options_.affinity.is_set();
    if (phase == WorkerPhase::initializer_failed && (has_initializer || has_settings)) {
        initializer = board_.initializer_failure(index);
    }
    const bool failed_initializer = !initializer.bytes().empty();
    {
        // Before the recovery: a caller that learns of the loss from a future finds it
        // counted.
        const MutexLock lock(mutex_);
        ++counts_.workers_lost;
    }
    const std::string why =
        what + (phase == WorkerPhase::damaged
                    ? ": somebody wrote over its task, or over the list of its memory"
                    : " while the task was running or waiting: the pool is broken");
    if (options_.on_worker_loss == OnWorkerLoss::break_pool && !failed_initializer) {
        // Before the recovery, too: a caller that learns of it from a future can submit
        // no more.
        mark_broken(why);
    } else if (is_one_too_many(worker, what, phase)) {
        mark_broken("the pool is broken: " + losses_.story());
    }
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
    if (failed_initializer) {
        mp::detail::ByteReader in(initializer.bytes());
        const auto cause = mp::detail::decode_exception(in);
        const std::string text =
            (has_initializer ? "the initializer of a worker failed: "
                             : "a worker could not begin: ") +
            mp::detail::describe_exception(cause);
        mp::detail::log_error(text);
        break_pool(text, cause);
        return;
    }
    if (phase == WorkerPhase::damaged) {
        break_pool(why, nullptr);
        return;
    }
    if (options_.on_worker_loss == OnWorkerLoss::break_pool) {
        break_pool(why, nullptr);
    } else if (borne(worker, what, phase)) {
        mp::detail::log_info(what + "; it will be replaced");
    }
}

bool ProcessPool::is_one_too_many(
    const Worker& worker, const std::string& what, WorkerPhase phase
) {
    if (phase != WorkerPhase::working && phase != WorkerPhase::retired) {
        return false;  // StartTrouble counts it
    }
    if (!worker.began) {
        start_trouble_.began();
    }
    return !losses_.add(what, LossWindow::Clock::now());
}

/// Whether the pool bears this loss; breaks it otherwise.
bool ProcessPool::borne(
    const Worker& worker, const std::string& what, WorkerPhase phase
) {
    using End = StartTrouble::End;
    if (phase == WorkerPhase::working || phase == WorkerPhase::retired) {
        if (losses_.are_borne()) {
            return true;
        }
        break_pool("the pool is broken: " + losses_.story(), nullptr);
        return false;
    }
    {
        const MutexLock lock(mutex_);
        look_who_began();
    }
    const End end = !StartTrouble::was_killed(worker.process->exitcode())
                        ? End::by_itself
                    : phase == WorkerPhase::initialising ? End::killed_in_initializer
                                                         : End::killed;
    if (start_trouble_.ended(end)) {
        return true;
    }
    break_pool(
        std::to_string(start_trouble_.deaths()) +
            " workers in a row ended before their first task; the last one, " + what,
        nullptr
    );
    return false;
}

std::exception_ptr
ProcessPool::verdict_on(PoolTask& task, std::uint32_t index, const Worker& worker) {
    const mp::Process& process = *worker.process;
    ++task.losses;
    if (task.stop == TaskStop::cancelled) {
        return std::make_exception_ptr(CancelledError());
    }
    const bool has_failed_last = task.failures() > task.retries;
    if (task.stop == TaskStop::timeout) {
        ++task.time_outs;
        if (has_failed_last) {
            return task.timeout_error(end_of_worker(worker));
        }
        task.stop = TaskStop::no;
        task.run_again_later();
        return nullptr;
    }
    if (const std::string limit = limit_told_by(task, worker); !limit.empty()) {
        if (has_failed_last) {
            return std::make_exception_ptr(mp::ResourceLimitExceeded(limit));
        }
        task.run_again_later();
        return nullptr;
    }
    const std::uint32_t retries = options_.on_worker_loss == OnWorkerLoss::break_pool
                                      ? 0
                                  : options_.on_worker_loss == OnWorkerLoss::retry
                                      ? std::max(task.retries, usual_retries)
                                      : task.retries;
    if (task.failures() <= retries) {
        task.run_again_later();
        return nullptr;
    }
    CrashReport report;
    report.task = task.label();
    report.worker = process.name();
    report.pid = process.pid();
    const std::uint32_t attempts = task.failures();
    report.attempt = attempts;
    auto stack =
        fill_crash_report(report, board_.view().control(index), process.handle());
    report.out_of_memory = worker.out_of_memory;
    if (output_) {
        output_->tell(report, index);
    }
    std::string text =
        "the task " + report.task + " was lost: " + end_of_worker(worker, report);
    const bool is_poison =
        attempts > 1 && task.losses == attempts && task.time_outs == 0;
    text += stack_in_words(index);
    if (attempts > 1) {
        text += ", after " + std::to_string(attempts - 1) + " earlier attempts";
    }
    if (is_poison) {
        text += ": each of them ended its worker";
    }
    return std::make_exception_ptr(
        WorkerLost(text, std::move(report), attempts, is_poison, std::move(stack))
    );
}

/// Of a worker that nobody of ours has killed: the kernel has counted one more.
bool ProcessPool::was_out_of_memory(const Worker& worker) noexcept {
    try {
        if (worker.condemned != Condemned::no ||
            worker.process->exitcode() != -SIGKILL) {
            return false;
        }
        const auto kills = mp::os::oom_kills();
        if (!oom_kills_ || !kills || *kills <= *oom_kills_) {
            return false;
        }
        ++*oom_kills_;  // of several workers each is told
        return true;
    } catch (const std::exception&) {
        return false;  // no memory
    }
}

void ProcessPool::cannot_start(const std::exception_ptr& cause) noexcept {
    break_pool(
        "no worker process is left and none could be started: " +
            mp::detail::describe_exception(cause),
        cause
    );
}

void ProcessPool::mark_broken(const std::string& what) noexcept {
    {
        const MutexLock lock(mutex_);
        accepting_ = false;
        if (!broken_) {
            broken_ = what;
        }
    }
    waiting_.close();
    board_.refuse();
}

void ProcessPool::break_pool(
    const std::string& what, const std::exception_ptr& cause
) noexcept {
    mark_broken(what);
    {
        const MutexLock lock(mutex_);
        broken_cause_ = broken_cause_ ? broken_cause_ : cause;
    }
    // Each its own: an exception object may be thrown by one thread at a time only.
    board_.fail_all([&](BoardTask&) {
        return mp::detail::with_cause(BrokenProcessPool(what), cause);
    });
    waiting_.fail_all([&] {
        return mp::detail::with_cause(BrokenProcessPool(what), cause);
    });
    signal_workers(SIGTERM);
}

void ProcessPool::signal_workers(int signal) noexcept {
    const MutexLock lock(mutex_);
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        if (const Worker& worker = workers_.at(index); worker.process) {
            end_if_possible(*worker.process, signal);
        }
    }
}

/// end_worker(), and what that throws is logged.
void ProcessPool::end_if_possible(const mp::Process& process, int signal)
    const noexcept {
    try {
        end_worker(process, signal);
    } catch (const std::exception& error) {
        mp::detail::log_error(std::string("a worker cannot be ended: ") + error.what());
    }
}

/// SIGTERM, with which a stopped one goes on, or SIGKILL; with all that its tasks have
/// started, where the options say so.
void ProcessPool::end_worker(const mp::Process& process, int signal) const {
    if (options_.kill_descendants) {
        end_worker_tree(process, signal);
    } else if (signal == SIGKILL) {
        process.handle().kill();
    } else {
        WorkerTable::send(process, signal);
    }
}

}  // namespace futures::detail
