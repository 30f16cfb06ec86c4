// SPDX-License-Identifier: BSL-1.0
// The pool's workers: how they die, what becomes of their tasks, and when that breaks
// the pool.
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "process_pool/crash_report.hpp"
#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"
#include "util/number_text.hpp"

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
        max_now_ = max_workers_;
    }
    if (!gone.process) {
        return;
    }
    manager_.unwatch(gone.sentinel);
    alive_.fetch_sub(1);
    try {
        gone.process->join();
        const auto phase = board_.view().control(index).phase.load();
        const auto& most = options_.max_tasks_per_child;
        const bool retired =
            most && phase == WorkerPhase::retired && gone.process->exitcode() == 0 &&
            board_.told_by(index) == static_cast<std::uint64_t>(most->value());
        if (gone.condemned == Condemned::out_of_time &&
            gone.process->exitcode() == -SIGKILL && !ending) {
            recover_after_timeout(index, gone);
        } else if (ending || retired) {
            board_.recover(index, [&](BoardTask& task) {
                return verdict_on(static_cast<PoolTask&>(task), index, gone);
            });
        } else {
            worker_lost(index, gone);
        }
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
    if (phase == WorkerPhase::initializer_failed &&
        (options_.shared.keep() || options_.initializer)) {
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
        const std::string text = "the initializer of a worker failed: " +
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
    const bool timed_out = std::exchange(task.timed_out, false);
    task.seen_running.reset();
    task.time_outs += timed_out ? 1 : 0;
    if (timed_out && task.failures() > task.retries) {
        return std::make_exception_ptr(TaskTimeout(
            "the task " + task.name.text() + " ran longer than its limit of " +
            mp::detail::seconds_text(task.time_limit.duration()) + ": worker '" +
            process.name() + "' (pid " + std::to_string(process.pid()) + ") was killed"
        ));
    }
    if (timed_out) {
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
    report.task = task.name.text();
    report.worker = process.name();
    report.pid = process.pid();
    fill_crash_report(report, board_.view().control(index).crash, process.exitcode());
    report.peak_memory_bytes = process.handle().peak_memory_bytes();
    std::string text =
        "the task " + report.task + " was lost: " + end_of_worker(worker);
    const std::uint32_t attempts = task.failures();
    const bool is_poison =
        attempts > 1 && task.losses == attempts && task.time_outs == 0;
    if (attempts > 1) {
        text += ", after " + std::to_string(attempts - 1) + " earlier attempts";
    }
    if (is_poison) {
        text += ": each of them ended its worker";
    }
    return std::make_exception_ptr(
        WorkerLost(text, std::move(report), attempts, is_poison)
    );
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
    board_.refuse();
}

void ProcessPool::break_pool(
    const std::string& what, const std::exception_ptr& cause
) noexcept {
    mark_broken(what);
    // Each its own: an exception object may be thrown by one thread at a time only.
    board_.fail_all([&](BoardTask&) {
        return mp::detail::with_cause(BrokenProcessPool(what), cause);
    });
    signal_workers(SIGTERM);
}

void ProcessPool::signal_workers(int signal) noexcept {
    const MutexLock lock(mutex_);
    workers_.send_all(signal);
}

}  // namespace futures::detail
