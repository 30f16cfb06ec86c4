// SPDX-License-Identifier: BSL-1.0
// reset(): a broken pool works again. Its workers have ended and were reaped, so nobody
// but this process has its board any more; that is made anew, whatever was written over
// it. If the manager still runs it does that, when it would end; else the thread that
// called reset().
#include "mp/errors.hpp"

#include "process_pool/process_pool_core.hpp"

#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

void ProcessPool::reset() {
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this ProcessPoolExecutor belongs to the process that made it: "
            "a forked child cannot reset it"
        );
    }
    for (;;) {
        bool over = false;
        {
            const MutexLock lock(mutex_);
            if (shut_down_) {
                throw mp::StateError("the ProcessPoolExecutor was shut down: it cannot "
                                     "be reset");
            }
            if (!broken_) {
                return;
            }
            over = stage_ == Stage::over;
            reset_wanted_ = !over;
            if (over && std::exchange(reviving_, true)) {
                revived_.wait(mutex_);
                continue;
            }
        }
        if (over) {
            revive();
            return;
        }
        board_.doorbell().ring();
        if (manager_.is_current()) {
            manager_.turn_once();
            continue;
        }
        const MutexLock lock(mutex_);
        while (broken_ && stage_ != Stage::over && !shut_down_) {
            revived_.wait(mutex_);
        }
    }
}

/// The manager has ended, or is about to.
void ProcessPool::revive() {
    const auto end = [this](bool revived) {
        const MutexLock lock(mutex_);
        reviving_ = false;
        if (!revived) {
            stage_ = Stage::over;
        }
        revived_.notify_all();
    };
    try {
        manager_.join();
        const MutexLock lock(mutex_);
        if (!shut_down_) {
            const auto why = broken_;
            const auto cause = broken_cause_;
            renew();
            try {
                if (method_ == mp::StartMethod::fork) {
                    start_workers_locked(target_);
                }
                if (output_) {
                    output_->start();
                }
                manager_.start(shared_from_this());
            } catch (...) {
                end_unwanted_workers();
                waiting_.close();
                accepting_ = false;
                broken_ = why;
                broken_cause_ = cause;
                // What was submitted meanwhile, too.
                board_.fail_all([&](BoardTask&) {
                    return std::make_exception_ptr(BrokenProcessPool(*why));
                });
                throw;
            }
        }
    } catch (...) {
        end(false);
        throw;
    }
    end(true);
}

/// Requires: no worker is there, and all that was submitted has ended.
void ProcessPool::renew() {
    // What was counted of waits was of workers that are gone; positions begin anew, so
    // that those of tasks that stopped would be others'.
    waiting_workers_ = 0;
    static_cast<void>(nested_.take_stopped());
    stopped_.clear();
    if (spares_ != 0) {
        set_spares(0);  // before the board is made anew, by its size
    }
    board_.renew();
    board_.want_ready(booting_ > 0);
    waiting_.open();
    alive_ = 0;
    max_now_ = max_workers;
    start_failure_ = nullptr;
    start_trouble_.began();
    next_start_.reset();
    losses_.forget();
    damage_told_ = false;
    watch_failed_ = false;
    ladders_.assign(ladders_.size(), Ladder());
    slow_end_told_ = false;
    boot_failure_ = nullptr;
    broken_cause_ = nullptr;
    end_grace_.reset();
    next_signal_ = 0;
    reset_wanted_ = false;
    stage_ = Stage::working;
    broken_.reset();
    accepting_ = true;
    revived_.notify_all();
}

}  // namespace futures::detail
