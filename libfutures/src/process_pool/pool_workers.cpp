// SPDX-License-Identifier: BSL-1.0
// The pool's workers: how they come, go and die.
#include "mp/errors.hpp"
#include "mp/remote_error.hpp"

#include "process_pool/crash_report.hpp"
#include "process_pool/process_pool_core.hpp"
#include "process_pool/worker_body.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <sstream>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;
using namespace std::chrono_literals;

namespace {

/// How long workers that were told to end may take.
constexpr auto idle_grace = 10s;
constexpr auto signal_grace = 5s;

/// Attempts of a task under OnWorkerLoss::retry that says nothing of retries.
constexpr std::uint32_t usual_retries = 2;

/// Workers that die one after the other before they could run anything: something is
/// wrong that a new worker does not cure.
constexpr std::uint32_t max_stillborn = 8;

std::string in_seconds(mp::Timeout limit) {
    std::ostringstream text;
    text << std::chrono::duration<double>(limit.duration()).count() << " s";
    return text.str();
}

template <class Error>
std::exception_ptr with_cause(const Error& error, const std::exception_ptr& cause) {
    if (!cause) {
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

}  // namespace

// ---- starting

std::size_t ProcessPool::workers_wanted() const noexcept {
    const auto most = std::min<std::size_t>(max_workers_, max_now_);
    return static_cast<std::size_t>(std::min<std::uint64_t>(most, board_.outstanding())
    );
}

void ProcessPool::start_workers(std::size_t count) {
    std::vector<Starting> starting;
    {
        const MutexLock lock(mutex_);
        starting = make_processes(count);
        starting_ = true;
    }
    // Not under the lock: this takes as long as the slowest of them.
    const std::exception_ptr failure = start_all(starting);
    const MutexLock lock(mutex_);
    adopt(starting, failure);
    starting_ = false;
    started_.notify_all();
}

void ProcessPool::start_workers_locked(std::size_t count) {
    auto starting = make_processes(count);
    const std::exception_ptr failure = start_all(starting);
    adopt(starting, failure);
    if (count_workers() == 0) {
        std::rethrow_exception(failure);
    }
}

std::vector<ProcessPool::Starting> ProcessPool::make_processes(std::size_t count) {
    std::vector<Starting> starting;
    for (std::uint32_t i = 0; i < max_workers_ && starting.size() < count; ++i) {
        if (!workers_[i].process) {
            auto arena = std::make_shared<ResultArenaReader>();
            board_.prepare(i, arena);
            starting.push_back({i, make_process(i, *arena)});
        }
    }
    return starting;
}

std::unique_ptr<mp::Process>
ProcessPool::make_process(std::uint32_t index, const ResultArenaReader& arena) {
    WorkerStart start;
    start.board = TravellingFd(board_.segment().fileno());
    start.call_arena = TravellingFd(calls_->segment().fileno());
    start.result_arena = TravellingFd(arena.segment().fileno());
    start.doorbell = TravellingFd(board_.doorbell().fileno());
    start.index = index;
    start.policy = board_.options().policy;
    start.initializer = options_.initializer;
    if (options_.max_tasks_per_child) {
        start.max_tasks =
            static_cast<std::uint64_t>(options_.max_tasks_per_child->value());
    }
    mp::ProcessOptions options;
    options.die_with_parent = true;
    if (!options_.worker_name_prefix.empty()) {
        options.name = options_.worker_name_prefix + "_" + std::to_string(names_++);
    }
    return std::make_unique<mp::Process>(
        context_.Process(std::move(options), &run_worker, std::move(start))
    );
}

std::exception_ptr ProcessPool::start_all(const std::vector<Starting>& starting
) noexcept {
    // order: a hint for want_workers().
    alive_.fetch_add(
        static_cast<std::uint32_t>(starting.size()), std::memory_order_relaxed
    );
    try {
        std::vector<mp::BaseProcess*> processes;
        processes.reserve(starting.size());
        for (const Starting& worker : starting) {
            processes.push_back(worker.process.get());
        }
        mp::detail::start_together(processes);
        return nullptr;
    } catch (...) {
        return std::current_exception();
    }
}

void ProcessPool::adopt(
    std::vector<Starting>& starting, const std::exception_ptr& failure
) {
    for (Starting& started : starting) {
        if (started.process->pid() == 0) {
            alive_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
            continue;
        }
        Worker& worker = workers_[started.index];
        worker.process = std::move(started.process);
        worker.sentinel = worker.process->sentinel();
        manager_.watch(started.index, worker.sentinel);
        ++counts_.workers_started;
        if (forced_ != 0) {
            send(*worker.process, forced_);
        }
    }
    if (failure) {
        start_failure_ = failure;
        max_now_ = count_workers();
    }
}

std::size_t ProcessPool::count_workers() const noexcept {
    return static_cast<std::size_t>(std::count_if(
        workers_.begin(),
        workers_.end(),
        [](const Worker& worker) { return worker.process != nullptr; }
    ));
}

void ProcessPool::send(const mp::Process& process, int signal) noexcept {
    try {
        const auto handle = process.handle();
        if (signal == SIGKILL) {
            handle.kill();
            return;
        }
        handle.terminate();
        ::kill(process.pid(), SIGCONT);  // one that is stopped cannot end
    } catch (const std::exception&) {
        return;  // it has ended
    }
}

void ProcessPool::signal_workers(int signal) noexcept {
    const MutexLock lock(mutex_);
    for (const Worker& worker : workers_) {
        if (worker.process) {
            send(*worker.process, signal);
        }
    }
}

// ---- the manager's turn

bool ProcessPool::housekeeping() noexcept {
    if (has_limits_) {
        stop_overdue_tasks();
    }
    for (;;) {
        bool ending = false;
        bool none_left = false;
        {
            const MutexLock lock(mutex_);
            ending =
                broken_ || forced_ != 0 || (shut_down_ && board_.outstanding() == 0);
            none_left = count_workers() == 0;
            if (ending && none_left) {
                stage_ = Stage::over;
                return false;
            }
        }
        if (ending) {
            end_workers();
            return true;
        }
        const std::size_t wanted = workers_wanted();
        const std::size_t alive = alive_.load();
        if (wanted > alive) {
            try {
                start_workers(wanted - alive);
            } catch (...) {
                start_failure_ = std::current_exception();
                max_now_ = alive;
            }
            continue;
        }
        if (start_failure_ && none_left && board_.outstanding() > 0) {
            cannot_start(std::exchange(start_failure_, nullptr));
            continue;
        }
        return true;
    }
}

void ProcessPool::cannot_start(const std::exception_ptr& cause) noexcept {
    break_pool(
        "no worker process is left and none could be started: " +
            mp::detail::describe_exception(cause),
        cause
    );
}

void ProcessPool::end_workers() noexcept {
    if (!end_grace_) {
        board_.stop_workers();
        bool gently = false;
        {
            const MutexLock lock(mutex_);
            stage_ = Stage::stopping;
            gently = !broken_ && forced_ == 0;
            for (const Worker& worker : workers_) {
                if (worker.process) {
                    ::kill(worker.process->pid(), SIGCONT);
                }
            }
        }
        next_signal_ = gently ? SIGTERM : SIGKILL;
        end_grace_.emplace(gently ? idle_grace : signal_grace);
    } else if (end_grace_->expired()) {
        mp::detail::log_warning("workers of a process pool do not end: signalling them"
        );
        signal_workers(std::exchange(next_signal_, SIGKILL));
        end_grace_.emplace(signal_grace);
    }
    board_.guard_timer().arm();  // look again
}

// ---- death

void ProcessPool::worker_gone(std::uint32_t index) noexcept {
    Worker gone;
    bool ending = false;
    {
        const MutexLock lock(mutex_);
        gone = std::exchange(workers_[index], {});
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
        const bool retired =
            phase == WorkerPhase::retired && gone.process->exitcode() == 0;
        if (gone.out_of_time && gone.process->exitcode() == -SIGKILL && !ending) {
            recover_after_timeout(index, *gone.process);
        } else if (ending || retired) {
            board_.recover(index, [&](BoardTask& task) {
                return verdict_on(static_cast<PoolTask&>(task), index, *gone.process);
            });
        } else {
            worker_lost(index, *gone.process);
        }
        gone.process->close();
    } catch (...) {
        break_pool(
            "burying a worker failed: " +
                mp::detail::describe_exception(std::current_exception()),
            std::current_exception()
        );
    }
}

void ProcessPool::worker_lost(std::uint32_t index, const mp::Process& process) {
    const auto phase = board_.view().control(index).phase.load();
    const std::string what = worker_in_words(process);
    const Message initializer = board_.initializer_failure(index);
    {
        // Before the burial: who learns of the loss from a future finds it counted.
        const MutexLock lock(mutex_);
        ++counts_.workers_lost;
    }
    const std::string why =
        what + " while the task was running or waiting: the pool is broken";
    if (options_.on_worker_loss == OnWorkerLoss::break_pool &&
        phase != WorkerPhase::initializer_failed) {
        // Before the burial, too: who learns of it from a future can submit no more.
        mark_broken(why);
    }
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, process);
    });
    if (phase == WorkerPhase::initializer_failed) {
        mp::detail::ByteReader in(initializer.bytes());
        const auto cause = mp::detail::decode_exception(in);
        const std::string text = "the initializer of a worker failed: " +
                                 mp::detail::describe_exception(cause);
        mp::detail::log_error(text);
        break_pool(text, cause);
        return;
    }
    stillborn_ = phase == WorkerPhase::working ? 0 : stillborn_ + 1;
    if (options_.on_worker_loss == OnWorkerLoss::break_pool) {
        break_pool(why, nullptr);
    } else if (stillborn_ > max_stillborn) {
        break_pool(
            std::to_string(stillborn_) +
                " workers in a row ended before their first task; the last one, " +
                what,
            nullptr
        );
    } else {
        mp::detail::log_info(what + "; it will be replaced");
    }
}

std::string ProcessPool::worker_in_words(const mp::Process& process) {
    return "worker '" + process.name() + "' (pid " + std::to_string(process.pid()) +
           ") " + end_in_words(process.exitcode());
}

std::exception_ptr ProcessPool::verdict_on(
    PoolTask& task, std::uint32_t index, const mp::Process& process
) {
    ++task.losses;
    const bool timed_out = std::exchange(task.timed_out, false);
    task.seen_running.reset();
    if (timed_out && task.losses > task.retries) {
        return std::make_exception_ptr(TaskTimeout(
            "the task " + task.name.text() + " ran longer than its limit of " +
            in_seconds(task.time_limit) + ": worker '" + process.name() + "' (pid " +
            std::to_string(process.pid()) + ") was killed"
        ));
    }
    if (timed_out) {
        return nullptr;
    }
    const std::uint32_t retries = options_.on_worker_loss == OnWorkerLoss::break_pool
                                      ? 0
                                  : options_.on_worker_loss == OnWorkerLoss::retry
                                      ? std::max(task.retries, usual_retries)
                                      : task.retries;
    if (task.losses <= retries) {
        return nullptr;
    }
    CrashReport report;
    report.task = task.name.text();
    report.worker = process.name();
    report.pid = process.pid();
    fill_crash_report(report, board_.view().control(index).crash, process.exitcode());
    std::string text =
        "the task " + report.task + " was lost: " + worker_in_words(process);
    if (task.losses > 1) {
        text += ", after " + std::to_string(task.losses - 1) + " earlier attempts";
    }
    return std::make_exception_ptr(WorkerLost(text, std::move(report)));
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
        return with_cause(BrokenProcessPool(what), cause);
    });
    signal_workers(SIGTERM);
}

}  // namespace futures::detail
