// SPDX-License-Identifier: BSL-1.0
// The pool's workers: how they come.
#include "mp/detail/nested_exception.hpp"

#include "process_pool/pool_depth.hpp"
#include "process_pool/process_pool_core.hpp"
#include "process_pool/worker_body.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <algorithm>
#include <chrono>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

/// A busy machine may need so long to bring a process to life.
constexpr std::chrono::nanoseconds least_start_time = std::chrono::seconds(5);

}  // namespace

std::size_t ProcessPool::workers_wanted() const noexcept {
    const auto most = std::min<std::size_t>(most_workers(), max_now_);
    if (booting_ > 0) {
        return most;
    }
    return static_cast<std::size_t>(std::min<std::uint64_t>(most, board_.runnable()));
}

void ProcessPool::start_workers(std::size_t count) {
    std::vector<Starting> starting;
    {
        const MutexLock lock(mutex_);
        starting = make_processes(count);
        starting_ = true;
    }
    // Not under the lock: this takes as long as the slowest of them.
    std::exception_ptr failure = start_all(starting);
    const MutexLock lock(mutex_);
    starting_ = false;
    started_.notify_all();  // once we have unlocked
    adopt(starting, failure);
}

void ProcessPool::start_workers_locked(std::size_t count) {
    auto starting = make_processes(count);
    std::exception_ptr failure = start_all(starting);
    adopt(starting, failure);
    if (workers_.count() == 0) {
        std::rethrow_exception(failure);
    }
}

std::vector<ProcessPool::Starting> ProcessPool::make_processes(std::size_t count) {
    std::vector<Starting> starting;
    try {
        for (const std::uint32_t index : workers_.free_indices(count)) {
            auto arena = std::make_shared<ResultArenaReader>(
                arena_sizes_.results, board_.idle_timer()
            );
            board_.prepare(index, arena);
            starting.push_back({index, make_process(index, *arena)});
        }
    } catch (...) {
        if (output_) {
            output_->drop_unstarted();
        }
        throw;
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
    start.slots = board_.options().slots;
    start.workers = board_.options().workers;
    start.index = index;
    start.policy = board_.options().policy;
    start.shared = options_.shared.keep();
    start.initializer = options_.initializer;
    start.captures_crashes = options_.capture_crashes;
    if (output_) {
        const auto writers = output_->open(index);
        start.captures_output = true;
        start.output = {TravellingFd(writers[0]), TravellingFd(writers[1])};
        if (method_ == mp::StartMethod::fork) {
            start.parents_output = output_.get();
        }
    }
    start.finalizer = options_.finalizer;
    if (!options_.idle_timeout.is_forever()) {
        start.idle_nanoseconds = options_.idle_timeout.duration().count();
    }
    start.keeps_orphans = options_.kill_descendants;
    start.limits_tasks = !options_.task_timeout.is_forever();
    start.settings.has_nice = options_.nice.has_value();
    start.settings.nice = options_.nice.value_or(0);
    start.settings.cpus = options_.affinity.of_worker(index);
    start.tells_of_end = !options_.finalizer_timeout.is_forever();
    if (options_.max_tasks_per_child) {
        start.max_tasks =
            static_cast<std::uint64_t>(options_.max_tasks_per_child->value());
    }
    start.max_memory = options_.max_memory_per_child.value_or(0);
    start.limits = LimitNumbers(options_.limits);
    start.depth = pool_depth() + 1;
    mp::ProcessOptions options;
    options.die_with_parent = true;
    if (options_.initializer_timeout.duration() < options.start_timeout.duration()) {
        options.start_timeout =
            std::max(options_.initializer_timeout.duration(), least_start_time);
    }
    options.environment = environment_;
    options.working_directory = options_.working_directory;
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
        if (output_ && method_ == mp::StartMethod::fork) {
            output_->while_standing([&] { mp::detail::start_together(processes); });
        } else {
            mp::detail::start_together(processes);
        }
        return nullptr;
    } catch (...) {
        return std::current_exception();
    }
}

void ProcessPool::adopt(std::vector<Starting>& starting, std::exception_ptr& failure) {
    std::size_t failed = 0;
    for (Starting& started : starting) {
        if (output_) {
            output_->handed_over(started.index);
        }
        if (started.process->pid() == 0) {
            alive_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
            ++failed;
            continue;
        }
        try {
            manager_.watch(started.index, started.process->sentinel());
        } catch (...) {
            // Nobody would hear of its end.
            failure = std::current_exception();
            end_if_possible(*started.process, SIGKILL);
            WorkerTable::send(*started.process, SIGKILL);  // takes no memory
            started.process->join();
            alive_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
            Worker unwatched;
            unwatched.process = std::move(started.process);
            board_.recover(started.index, [&](BoardTask& task) {
                return verdict_on(
                    static_cast<PoolTask&>(task), started.index, unwatched
                );
            });
            continue;
        }
        Worker& worker = workers_.add(started.index, std::move(started.process));
        ++counts_.workers_started;
        begin_start_limit(worker);
        if (forced_ != 0) {
            end_if_possible(*worker.process, forced_);  // it may run a task already
        }
    }
    if (failure) {
        start_failed(failure, failed);
    }
}

/// A process that was killed before it could say that it runs is a worker that was
/// lost: the manager starts another one, as often as StartTrouble allows. Any other
/// failure would come again, so the pool goes on with the workers that it has.
void ProcessPool::start_failed(const std::exception_ptr& failure, std::size_t count) {
    bool again = options_.on_worker_loss != OnWorkerLoss::break_pool &&
                 StartTrouble::kind_of(failure) == StartFailure::ended;
    look_who_began();
    for (std::size_t i = 0; i < count && again; ++i) {
        ++counts_.workers_lost;
        again = start_trouble_.ended(
            StartTrouble::was_killed(failure) ? StartTrouble::End::killed
                                              : StartTrouble::End::by_itself
        );
    }
    if (again) {
        mp::detail::log_info(
            "a worker ended before it ran: " + mp::detail::describe_exception(failure) +
            "; it will be replaced"
        );
        return;
    }
    give_up_starting(failure);
}

/// For now: until a worker ends, or somebody asks again. The pool goes on with those
/// that it has.
void ProcessPool::give_up_starting(const std::exception_ptr& cause) noexcept {
    start_failure_ = cause;
    boot_failure_ = cause;
    max_now_ = workers_.count();
    started_.notify_all();
}

void ProcessPool::forget_start_failure() noexcept {
    start_failure_ = nullptr;
    next_start_.reset();
    max_now_ = max_workers;
}

/// Those that came so far as to take tasks: starting works.
void ProcessPool::look_who_began() {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        Worker& worker = workers_.at(index);
        if (worker.process && !worker.began &&
            board_.view().control(index).phase.load() == WorkerPhase::working) {
            worker.began = true;
            start_trouble_.began();
        }
    }
}

/// No worker is there, and the system would not give one: whether to ask again.
bool ProcessPool::waits_for_next_start() noexcept {
    const auto now = StartTrouble::Clock::now();
    if (!next_start_) {
        if (StartTrouble::kind_of(start_failure_) == StartFailure::shortage) {
            next_start_ = start_trouble_.shortage(now);
        }
        if (!next_start_) {
            return false;
        }
    }
    if (now >= *next_start_) {
        forget_start_failure();
    } else {
        board_.guard_timer().arm();  // look again
    }
    return true;
}

/// A task of a new worker may have ended before its process is in the table.
void ProcessPool::await_starting() const {
    while (starting_ && creator_.is_here()) {
        started_.wait(mutex_);
    }
}

std::vector<pid_t> ProcessPool::worker_pids() const {
    const MutexLock lock(mutex_);
    await_starting();
    return workers_.pids();
}

}  // namespace futures::detail
