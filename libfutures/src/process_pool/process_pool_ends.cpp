// SPDX-License-Identifier: BSL-1.0
// The pool's workers: their initializers and finalizers, which may have a time limit,
// and how they end in order.
#include "process_pool/process_pool_core.hpp"
#include "process_pool/stopped_process.hpp"
#include "process_pool/worker_body.hpp"
#include "util/diagnostics.hpp"
#include "util/number_text.hpp"

#include <signal.h>

#include <chrono>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;
using namespace std::chrono_literals;

// ---- limits

void ProcessPool::begin_start_limit(Worker& worker) const noexcept {
    if (!options_.initializer_timeout.is_forever() &&
        (options_.initializer || options_.shared.keep())) {
        worker.step = Step::start;
        worker.step_end = mp::Deadline(options_.initializer_timeout);
    }
}

/// What the workers themselves say of it is looked at when the time is up, and when one
/// of them rings because its finalizer begins.
void ProcessPool::watch_steps() noexcept {
    const bool starts = !options_.initializer_timeout.is_forever();
    const bool ends = !options_.finalizer_timeout.is_forever();
    if (!starts && !ends) {
        return;
    }
    const MutexLock lock(mutex_);
    mp::Deadline next(mp::forever);
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        Worker& worker = workers_.at(index);
        if (!worker.process || worker.condemned != Condemned::no) {
            continue;
        }
        try {
            watch_step(index, worker);
        } catch (const std::exception& error) {
            mp::detail::log_error(
                std::string("cannot end a worker that takes too long: ") + error.what()
            );
            worker.step_end = mp::Deadline(1s);  // again then
        }
        if (worker.step_end.time_point() < next.time_point()) {
            next = worker.step_end;
        }
    }
    step_timer_.set(next);
}

void ProcessPool::watch_step(std::uint32_t index, Worker& worker) {
    if (worker.step == Step::start && !is_in_step(index, Step::start)) {
        worker.step = Step::none;
        worker.step_end = mp::Deadline(mp::forever);
    }
    if (worker.step == Step::none && !options_.finalizer_timeout.is_forever() &&
        is_in_step(index, Step::end)) {
        worker.step = Step::end;
        worker.step_end = mp::Deadline(options_.finalizer_timeout);
    }
    if (worker.step != Step::none && worker.step_end.expired()) {
        kill_if_in_step(index, worker);
    }
}

bool ProcessPool::is_in_step(std::uint32_t index, Step step) const noexcept {
    const WorkerControl& control = board_.view().control(index);
    if (step == Step::start) {
        const auto phase = control.phase.load();
        return phase == WorkerPhase::starting || phase == WorkerPhase::initialising;
    }
    return control.last_step.load() == LastStep::running;
}

/// It may be through in this very moment, and begin its first task: it is stopped
/// first.
void ProcessPool::kill_if_in_step(std::uint32_t index, Worker& worker) {
    const StoppedProcess standing(worker.process->pid(), worker.sentinel);
    worker.step_end = mp::Deadline(mp::forever);
    if (is_in_step(index, worker.step)) {
        end_worker(*worker.process, SIGKILL);
        worker.condemned =
            worker.step == Step::start ? Condemned::slow_start : Condemned::slow_end;
    } else {
        worker.step = Step::none;
    }
}

/// Of workers that were told to end: is it a finalizer that takes its time?
bool ProcessPool::ends_wait_for_finalizers() noexcept {
    const MutexLock lock(mutex_);
    if (!options_.finalizer || broken_ || forced_ != 0) {
        return false;
    }
    bool running = false;
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        running =
            running || (workers_.at(index).process && is_in_step(index, Step::end));
    }
    if (running) {
        if (!std::exchange(slow_end_told_, true)) {
            mp::detail::log_warning(
                "the finalizers of a process pool take long: its end waits for them "
                "(.finalizer_timeout limits that)"
            );
        }
        end_grace_.emplace(10s);
    }
    return running;
}

// ---- ends

/// Whether it has done its share. What the worker says of that is believed as far as
/// its results agree.
bool ProcessPool::retired(std::uint32_t index, const Worker& worker) {
    const WorkerControl& control = board_.view().control(index);
    if (control.phase.load() != WorkerPhase::retired) {
        return false;
    }
    // Killed or crashed in its last step, it takes no task along.
    if (worker.process->exitcode() != 0 && control.last_step.load() == LastStep::none) {
        return false;
    }
    const auto& most = options_.max_tasks_per_child;
    if (options_.max_memory_per_child || worker.told_to_retire) {
        return true;
    }
    return most && board_.told_by(index) == static_cast<std::uint64_t>(most->value());
}

void ProcessPool::worker_ended(std::uint32_t index, const Worker& worker) {
    const WorkerControl& control = board_.view().control(index);
    const LastStep step = control.last_step.load();
    if (step == LastStep::failed) {
        mp::detail::log_error(
            "the finalizer of worker '" + worker.process->name() +
            "' failed: " + text_of_last_step(control)
        );
    } else if (step == LastStep::running) {
        mp::detail::log_error(end_of_worker(worker) + " in its finalizer");
    }
    {
        const MutexLock lock(mutex_);
        if (options_.finalizer &&
            (step == LastStep::done || step == LastStep::failed)) {
            ++counts_.finalizers_run;
        }
        if (stage_ == Stage::working && control.phase.load() == WorkerPhase::retired) {
            ++counts_.workers_retired;
        }
    }
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
}

void ProcessPool::slow_worker_gone(std::uint32_t index, const Worker& worker) {
    const bool at_start = worker.condemned == Condemned::slow_start;
    const std::string text =
        std::string("the ") + (at_start ? "initializer" : "finalizer") +
        " of worker '" + worker.process->name() + "' (pid " +
        std::to_string(worker.process->pid()) + ") ran longer than its limit of " +
        mp::detail::seconds_text((at_start ? options_.initializer_timeout
                                           : options_.finalizer_timeout)
                                     .duration()) +
        ": it was still alive, and was killed";
    mp::detail::log_error(text);
    if (at_start) {
        const MutexLock lock(mutex_);
        ++counts_.workers_lost;
    }
    board_.recover(index, [&](BoardTask& task) {
        return verdict_on(static_cast<PoolTask&>(task), index, worker);
    });
    if (at_start) {
        break_pool(text, std::make_exception_ptr(TaskTimeout(text)));
    }
}

void ProcessPool::give_up_at_exit() {
    if (!manager_.is_current()) {
        return;
    }
    force_shutdown(SIGTERM);  // exit() in a callback: nobody could go on
    // What the manager would do: tell what depends on its futures, and whoever waits
    // for its workers.
    board_.run_callbacks();
    started_.notify_all();
    revived_.notify_all();
}

}  // namespace futures::detail
