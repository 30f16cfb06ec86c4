// SPDX-License-Identifier: BSL-1.0
// The pool as its clients see it: submitting, and the ways to end.
#include "process_pool/process_pool_core.hpp"

#include "mp/errors.hpp"

#include "executor/exit_hook.hpp"
#include "future/ready.hpp"
#include "os/address_space.hpp"
#include "os/control_group.hpp"
#include "process_pool/pool_depth.hpp"
#include "process_pool/worker_body.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"

#include <signal.h>

#include <algorithm>
#include <filesystem>
#include <stdexcept>
#include <system_error>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

namespace {

std::uint32_t checked_max_workers(const ProcessPoolOptions& options) {
    if (!options.max_workers) {
        return std::min(default_workers(), max_workers);
    }
    const auto count = options.max_workers->value();
    if (count < 1 || count > max_workers) {
        throw std::invalid_argument(
            "max_workers must be between 1 and " + std::to_string(max_workers) +
            ", not " + std::to_string(count)
        );
    }
    return static_cast<std::uint32_t>(count);
}

std::uint32_t
checked_max_blocked(const ProcessPoolOptions& options, std::uint32_t workers) {
    const auto count = options.max_blocked ? options.max_blocked->value() : workers;
    if (count < 0) {
        throw std::invalid_argument(
            "max_blocked must be at least 0, not " + std::to_string(count)
        );
    }
    return static_cast<std::uint32_t>(std::min<std::ptrdiff_t>(count, max_workers));
}

mp::Context checked_context(const ProcessPoolOptions& options) {
    if (!options.max_tasks_per_child) {
        return options.mp_context.value_or(mp::Context());
    }
    if (options.max_tasks_per_child->value() < 1) {
        throw std::invalid_argument(
            "max_tasks_per_child must be at least 1, not " +
            std::to_string(options.max_tasks_per_child->value())
        );
    }
    const mp::Context context =
        options.mp_context.value_or(mp::Context(mp::StartMethod::spawn));
    if (context.get_start_method() == mp::StartMethod::fork) {
        throw std::invalid_argument(
            "max_tasks_per_child cannot be used with the start method fork: "
            "workers that are replaced would be forked from a process with threads"
        );
    }
    return context;
}

void check_limit(const mp::Timeout& limit, const char* name) {
    if (limit.duration() <= std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(
            std::string(name) + " must be more than 0 seconds, or mp::forever"
        );
    }
}

ProcessPoolOptions checked(ProcessPoolOptions options) {
    check_depth(options.max_depth);
    check_limit(options.initializer_timeout, "initializer_timeout");
    check_limit(options.finalizer_timeout, "finalizer_timeout");
    constexpr int most_nice = 19;
    constexpr int least_nice = -20;
    if (options.nice && (*options.nice < least_nice || *options.nice > most_nice)) {
        throw std::invalid_argument(
            "nice must be between -20 and 19, not " + std::to_string(*options.nice)
        );
    }
    check_limits(options.limits);
    check_limit(options.task_timeout, "task_timeout");
    check_limit(options.idle_timeout, "idle_timeout");
    const auto least = options.min_workers.value();
    if (least < 0 || std::cmp_greater(least, checked_max_workers(options))) {
        throw std::invalid_argument(
            "min_workers must be between 0 and max_workers, not " +
            std::to_string(least)
        );
    }
    if (options.max_memory_per_child && *options.max_memory_per_child == 0) {
        throw std::invalid_argument("max_memory_per_child must be more than 0 bytes");
    }
    options.affinity.check(checked_max_workers(options));
    if (!options.working_directory.empty()) {
        // Wherever this process is by the time that a worker starts.
        options.working_directory =
            std::filesystem::absolute(options.working_directory).string();
    }
    return options;
}

mp::detail::Carried given_to_workers(const ProcessPoolOptions& options) {
    return detail::given_to_workers(
        options.shared.keep(), options.initializer, options.finalizer
    );
}

constexpr std::size_t parts_of_addresses = 8;

/// As many as resize() may ever ask for, where addresses are not short. What no worker
/// uses is never touched, and takes no memory.
std::uint32_t places_for(std::uint32_t workers) {
    const bool fits = BoardView::size_for(BoardOptions{}.slots, max_workers) <=
                      mp::os::largest_reservation(parts_of_addresses);
    return fits ? max_workers : workers;
}

/// Tasks that do not fit on the board wait behind it.
std::uint64_t slots_for(std::uint32_t workers) {
    constexpr std::uint64_t least = 64;
    const std::size_t most = mp::os::largest_reservation(parts_of_addresses);
    std::uint64_t slots = BoardOptions{}.slots;
    while (slots > least && BoardView::size_for(slots, workers) > most) {
        slots /= 2;
    }
    return slots;
}

constexpr const char* forced_text =
    "the task did not end: its ProcessPoolExecutor was forcefully shut down";

[[noreturn]] void throw_exiting() {
    throw mp::StateError("no new work is accepted: the program is exiting");
}

}  // namespace

ProcessPool::ProcessPool(ProcessPoolOptions options)
    : options_(checked(std::move(options))),
      environment_(
          with_thread_counts(options_.environment, checked_max_workers(options_))
      ),
      given_(given_to_workers(options_)),
      first_size_(checked_max_workers(options_)),
      places_(places_for(first_size_)),
      max_blocked_(checked_max_blocked(options_, first_size_)),
      context_(checked_context(options_)),
      method_(context_.get_start_method()),
      arena_sizes_(arena_sizes(first_size_)),
      board_(
          {.workers = places_,
           .sharers = first_size_,
           .slots = slots_for(places_),
           .trim_threshold = options_.trim_threshold}
      ),
      calls_(std::make_shared<CallArena>(arena_sizes_.calls, board_.idle_timer())),
      output_(options_.capture_output ? std::make_unique<WorkerOutput>() : nullptr),
      target_(first_size_),
      sizes_change_(!options_.idle_timeout.is_forever()),
      workers_(places_),
      ladders_(places_),
      losses_(options_.max_losses),
      manager_(board_, *this) {
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    manager_.watch_steps(step_timer_.fileno());
}

ProcessPool::~ProcessPool() {
    if (!creator_.is_here()) {
        manager_.abandon();  // it runs in the process that made us
        if (output_) {
            output_->abandon();
        }
    }
}

// ---- submitting

void ProcessPool::check_accepting() const {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this ProcessPoolExecutor belongs to the process that made it: "
            "a forked child cannot use it"
        );
    }
    // order: a submit() while it changes may come before or after.
    if (accepting_.load(std::memory_order_relaxed)) {
        return;
    }
    const MutexLock lock(mutex_);
    if (accepting_) {
        return;  // it was reset since we looked
    }
    if (broken_) {
        throw BrokenProcessPool(*broken_);
    }
    throw mp::StateError("the ProcessPoolExecutor was shut down: it takes no new work");
}

void ProcessPool::submit(PoolTask& task, std::span<const std::byte> call) {
    note_limits(task);
    // order: set once, under the mutex that begin_with() takes if it is not.
    const bool begun = begun_.load(std::memory_order_acquire);
    const bool submitted = !begun && begin_with(task, call);
    while (!submitted && !board_.submit(task, call)) {
        try {
            check_accepting();  // if it was reset meanwhile, once more
        } catch (...) {
            task.message.clear();
            throw;
        }
    }
    want_workers();
}

StopAnswer ProcessPool::stop(PoolTask& task) {
    const StopAnswer answer = board_.stop(task);
    if (answer == StopAnswer::yes) {
        watching_ = true;
        board_.want_look();
        board_.doorbell().ring();
    }
    return answer;
}

bool ProcessPool::begin_with(PoolTask& task, std::span<const std::byte> call) {
    const MutexLock lock(mutex_);
    // Before the manager can have the mutex: a worker that died at once has not broken
    // the pool yet, so the first task gets its future, which then tells.
    return begin() && board_.submit(task, call);
}

bool ProcessPool::begin() {
    if (stage_ != Stage::idle || !accepting_) {
        return false;
    }
    if (mp::detail::exiting()) {
        throw_exiting();
    }
    start_all_parts();
    stage_ = Stage::working;
    // order: pairs with submit().
    begun_.store(true, std::memory_order_release);
    return true;
}

void ProcessPool::await(WaitingTask& task) {
    for (;;) {
        {
            const MutexLock lock(mutex_);
            begin();  // its end waits for the task
            if (waiting_.add(task)) {
                return;
            }
        }
        check_accepting();  // if it was reset meanwhile, once more
    }
}

void ProcessPool::submit_waiting(PoolTask& task, std::span<const std::byte> call) {
    if (!creator_.is_here()) {
        check_accepting();
    }
    check_size(task, call);
    note_limits(task);
    while (!board_.submit(task, call, Board::Admission::given)) {
        const MutexLock lock(mutex_);
        if (broken_ || forced_ != 0) {
            throw BrokenProcessPool(broken_ ? *broken_ : forced_text);
        }
        // It was reset meanwhile: once more.
    }
    want_workers();
}

void ProcessPool::start_all_parts() {
    const int exit_part = detail::finish_at_exit(weak_from_this());
    oom_kills_ = mp::os::oom_kills();
    try {
        detail::give_up_at_exit(weak_from_this(), exit_part);
        if (method_ == mp::StartMethod::fork) {
            // All of them, before there is a thread of ours: a fork copies one thread,
            // and the locks that others hold.
            start_workers_locked(target_);
        }
        if (output_) {
            output_->start();
        }
        try {
            manager_.start(shared_from_this());
        } catch (const std::system_error& error) {
            throw std::system_error(
                error.code(),
                "the manager thread of a ProcessPoolExecutor cannot be made"
            );
        }
    } catch (...) {
        take_back_start(exit_part);
        throw;
    }
    exit_part_ = exit_part;
}

/// Nobody would ever end these workers. The next submit() begins again.
void ProcessPool::take_back_start(int exit_part) noexcept {
    mp::detail::drop_exit_part(exit_part);
    end_unwanted_workers();
}

void ProcessPool::end_unwanted_workers() noexcept {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        const Worker worker = workers_.take(index);
        if (!worker.process) {
            continue;
        }
        try {
            manager_.unwatch(worker.sentinel);
            end_if_possible(*worker.process, SIGKILL);
            WorkerTable::send(*worker.process, SIGKILL);  // takes no memory
            worker.process->join();
            board_.recover(index, [](BoardTask&) { return std::exception_ptr(); });
            worker.process->close();
        } catch (const std::exception& error) {
            mp::detail::log_error(
                std::string("a worker that is not needed cannot be ended: ") +
                error.what()
            );
        }
    }
    alive_ = 0;
    if (output_) {
        output_->finish();
    }
}

void ProcessPool::want_workers() noexcept {
    // order: hints. A worker that ends makes the manager count again.
    const auto alive = alive_.load(std::memory_order_relaxed);
    // order: as above.
    if ((alive < target_.load(std::memory_order_relaxed) && board_.outstanding() > alive
        ) ||
        // order: as above.
        waiting_workers_.load(std::memory_order_relaxed) != 0) {
        board_.doorbell().ring();
    }
}

// ---- ending

void ProcessPool::shutdown(ShutdownOptions options) {
    if (!creator_.is_here()) {
        return;
    }
    waiting_.close();  // first: the manager, when it sees the rest, finds all that wait
    {
        const MutexLock lock(mutex_);
        shut_down_ = true;
        accepting_ = false;
        waiting_.close();  // a reset() may have opened it again
    }
    board_.refuse();
    if (options.cancel_futures) {
        waiting_.cancel_all();
        for (BoardTask* task : board_.take_queued()) {
            const StatePtr<StateBase> kept(task->future_state());
            task->cancel_future();
        }
    }
    board_.doorbell().ring();
    if (options.wait && !manager_.is_current()) {
        Ready::run_all_here();
        manager_.join();
    }
}

void ProcessPool::force_shutdown(int signal) {
    if (!creator_.is_here()) {
        return;
    }
    const Forcing forcing(forcing_, board_.doorbell());
    {
        const MutexLock lock(mutex_);
        if (stage_ == Stage::over) {
            return;
        }
        waiting_.close();
        shut_down_ = true;
        accepting_ = false;
        forced_ = signal;  // from now on no worker is started that is not ended at once
    }
    board_.refuse();
    const auto verdict = [] {
        return std::make_exception_ptr(BrokenProcessPool(forced_text));
    };
    board_.fail_all([&](BoardTask&) { return verdict(); });
    waiting_.fail_all(verdict);
    signal_workers(signal);
    if (output_) {
        output_->hurry();
    }
}

void ProcessPool::close() noexcept {
    if (!creator_.is_here()) {
        return;
    }
    try {
        waiting_.warn_of_hand_made("the end of a ProcessPoolExecutor");
        shutdown({});
        if (manager_.is_current()) {
            manager_.join_at_exit();  // in a callback of ours: nobody else is left to
        }
        const MutexLock lock(mutex_);
        mp::detail::drop_exit_part(exit_part_);
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("shutting down a ProcessPoolExecutor failed: ") + error.what()
        );
    }
}

void ProcessPool::finish_at_exit() noexcept {
    try {
        if (manager_.is_current()) {
            return;  // it has given up
        }
        waiting_.warn_of_hand_made("the end of the program");
        shutdown({});
    } catch (const std::exception& error) {
        mp::detail::log_error(
            std::string("a ProcessPoolExecutor cannot end: ") + error.what()
        );
    }
}

// ---- looking

ProcessPoolStatistics ProcessPool::statistics() const {
    const std::uint64_t ended = waiting_.ended();
    const std::uint64_t waiting =
        waiting_.size();  // first: what is on the board counts
    const BoardStatistics board = board_.statistics();
    const MutexLock lock(mutex_);
    await_starting();
    ProcessPoolStatistics result = counts_;
    result.max_workers = target_;
    result.workers = workers_.count();
    result.submitted = board.submitted + waiting + ended;
    result.concluded = board.concluded + ended;
    result.tasks_lost = board.lost;
    result.tasks_given_back = board.given_back;
    return result;
}

}  // namespace futures::detail
