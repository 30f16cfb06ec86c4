// SPDX-License-Identifier: BSL-1.0
// What the manager thread does for its pool whenever it is woken by something else than
// a result: it starts workers that are wanted, and ends them when the pool ends.
#include "process_pool/process_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <signal.h>

#include <chrono>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;
using namespace std::chrono_literals;

namespace {

/// How long workers that were told to end may take.
constexpr auto idle_grace = 10s;
constexpr auto signal_grace = 5s;

}  // namespace

bool ProcessPool::housekeeping() noexcept {
    kill_faulty_workers();
    break_if_damaged();
    if (watching_) {
        watch_tasks();
    }
    watch_steps();
    take_asks();
    settle_nested();
    settle_size();
    if (boot_wanted_.exchange(false)) {
        forget_start_failure();
    }
    for (;;) {
        tell_boots();
        // A task asks before it ends: what it has asked for is seen once it is over.
        const bool quiet = board_.outstanding() == 0;
        if (quiet) {
            take_asks();
        }
        bool ending = false;
        bool none_left = false;
        {
            const MutexLock lock(mutex_);
            ending =
                broken_ || forced_ != 0 ||
                // In this order: what waits goes to the board before it leaves the
                // room.
                (shut_down_ && waiting_.empty() && quiet && board_.outstanding() == 0);
            none_left = workers_.count() == 0;
            if (ending && none_left) {
                if (!waiting_.empty() || forcing_ != 0) {
                    return true;  // their callbacks are still to be told; then it rings
                }
                if (board_.has_callbacks_left() && !reset_wanted_) {
                    return true;  // one of them may want to go on with the pool
                }
                if (reset_wanted_ && !shut_down_) {
                    renew();
                    continue;
                }
                stage_ = Stage::over;
                revived_.notify_all();
                started_.notify_all();  // who is in bootup() is told, too
            }
        }
        if (ending && none_left) {
            if (output_) {
                output_->finish();
            }
            return false;
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
                const MutexLock lock(mutex_);
                give_up_starting(std::current_exception());
            }
            watch_steps();  // theirs, too
            continue;
        }
        if (start_failure_ && none_left && board_.outstanding() > 0) {
            if (waits_for_next_start()) {
                if (next_start_) {
                    return true;
                }
                continue;
            }
            cannot_start(std::exchange(start_failure_, nullptr));
            continue;
        }
        return true;
    }
}

void ProcessPool::idle() noexcept {
    calls_->trim(options_.trim_threshold / (first_size_ + 1));
    board_.trim();
}

void ProcessPool::end_workers() noexcept {
    if (!end_grace_) {
        board_.stop_workers();
        bool gently = false;
        {
            const MutexLock lock(mutex_);
            stage_ = Stage::stopping;
            gently = !broken_ && forced_ == 0;
            workers_.resume_all();
        }
        next_signal_ = gently ? SIGTERM : SIGKILL;
        end_grace_.emplace(gently ? idle_grace : signal_grace);
    } else if (end_grace_->expired() && !ends_wait_for_finalizers()) {
        mp::detail::log_warning("workers of a process pool do not end: signalling them"
        );
        signal_workers(std::exchange(next_signal_, SIGKILL));
        end_grace_.emplace(signal_grace);
    }
    board_.guard_timer().arm();  // look again
}

/// A worker that wrote over its counters can no longer be believed: its tasks are lost
/// with it, as with any other that dies. One that cannot be killed now is tried again.
void ProcessPool::kill_faulty_workers() noexcept {
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        if (!board_.is_faulty(index)) {
            continue;
        }
        const MutexLock lock(mutex_);
        Worker& worker = workers_.at(index);
        if (!worker.process || worker.condemned != Condemned::no) {
            continue;
        }
        try {
            end_worker(*worker.process, SIGKILL);
            worker.condemned = Condemned::faulty;
        } catch (const std::exception& error) {
            if (!std::exchange(worker.unkillable, true)) {
                mp::detail::log_error(
                    std::string("cannot kill a faulty worker: ") + error.what()
                );
            }
        }
    }
}

/// Some task wrote over what all workers share: which one is not known, and neither is
/// what was lost.
void ProcessPool::break_if_damaged() noexcept {
    const char* const what = board_.damage();
    if (what == nullptr || std::exchange(damage_told_, true)) {
        return;
    }
    const std::string text =
        std::string("a task wrote over the memory that the pool shares with its "
                    "workers, where it says ") +
        what + ": the pool is broken";
    mp::detail::log_error(text);
    break_pool(text, nullptr);
    if (end_grace_) {  // they may not have heard that they are to end
        next_signal_ = SIGKILL;
        end_grace_.emplace(signal_grace);
    }
}

}  // namespace futures::detail
