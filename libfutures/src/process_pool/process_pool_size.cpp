// SPDX-License-Identifier: BSL-1.0
// How many workers the pool has: resize(), bootup(), and what retires because it is
// idle or too many.
#include "mp/detail/nested_exception.hpp"
#include "mp/errors.hpp"

#include "process_pool/process_pool_core.hpp"
#include "util/exit_function.hpp"

#include <algorithm>
#include <exception>
#include <stdexcept>
#include <string>
#include <vector>

namespace futures::detail {

using mp::detail::MutexLock;

// ---- any thread

void ProcessPool::resize(Count workers) {
    const auto count = workers.value();
    if (count < 1 || count > max_workers) {
        throw std::invalid_argument(
            "resize() takes between 1 and " + std::to_string(max_workers) +
            " workers, not " + std::to_string(count)
        );
    }
    const auto size = static_cast<std::uint32_t>(count);
    if (size > places_) {
        throw mp::ResourceLimitExceeded(
            "resize(): this pool has room for " + std::to_string(places_) +
            " workers only: RLIMIT_AS or RLIMIT_FSIZE left no more when it was made"
        );
    }
    check_accepting();
    target_ = size;
    board_.set_size(most_workers());
    sizes_change_ = true;
    board_.doorbell().ring();
}

void ProcessPool::bootup() {
    if (manager_.is_current()) {
        throw mp::StateError(
            "bootup() in a callback of a future of the pool would wait for itself"
        );
    }
    const MutexLock lock(mutex_);
    boot_failure_ = nullptr;
    ++booting_;
    board_.want_ready(true);
    try {
        if (stage_ == Stage::idle && accepting_ && !mp::detail::exiting()) {
            start_all_parts();
            stage_ = Stage::working;
            // order: pairs with submit().
            begun_.store(true, std::memory_order_release);
        }
        boot_wanted_ = true;  // what failed before is tried again
        board_.doorbell().ring();
        while (!is_booted()) {
            started_.wait(mutex_);
        }
    } catch (...) {
        board_.want_ready(--booting_ > 0);
        throw;
    }
    board_.want_ready(--booting_ > 0);
    board_.doorbell().ring();  // who was idle meanwhile may retire now
    if (broken_) {
        std::rethrow_exception(
            mp::detail::with_cause(BrokenProcessPool(*broken_), broken_cause_)
        );
    }
    if (shut_down_ || stage_ == Stage::idle) {
        throw mp::StateError("the ProcessPoolExecutor was shut down meanwhile");
    }
    if (boot_failure_) {
        std::rethrow_exception(boot_failure_);  // others may wait for it, too
    }
}

/// Or never will be.
bool ProcessPool::is_booted() {
    if (broken_ || shut_down_ || boot_failure_ || stage_ != Stage::working) {
        return true;
    }
    std::uint32_t ready = 0;
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        const Worker& worker = workers_.at(index);
        const auto phase = board_.view().control(index).phase.load();
        ready += worker.process && !worker.retiring && phase == WorkerPhase::working;
    }
    return ready >= target_;
}

// ---- the manager thread

void ProcessPool::tell_boots() noexcept {
    if (booting_ > 0) {
        const MutexLock lock(mutex_);
        started_.notify_all();
    }
}

void ProcessPool::settle_size() noexcept {
    if (!sizes_change_) {
        return;
    }
    try {
        const MutexLock lock(mutex_);
        if (stage_ != Stage::working || shut_down_) {
            return;
        }
        std::vector<std::uint32_t> staying = staying_workers();
        if (staying.size() > most_workers()) {
            retire_surplus(staying);
        } else {
            keep_retiring(most_workers() - staying.size());
        }
        if (!options_.idle_timeout.is_forever() && booting_ == 0) {
            retire_idle(staying);
        }
    } catch (const std::exception&) {
        board_.guard_timer().arm();  // no memory: again then
    }
}

std::vector<std::uint32_t> ProcessPool::staying_workers() {
    std::vector<std::uint32_t> staying;
    for (std::uint32_t index = 0; index < board_.places_used(); ++index) {
        const Worker& worker = workers_.at(index);
        if (worker.process && !worker.retiring) {
            staying.push_back(index);
        }
    }
    return staying;
}

void ProcessPool::tell_to_retire(std::uint32_t index) {
    Worker& worker = workers_.at(index);
    worker.retiring = true;
    worker.told_to_retire = true;
    board_.retire_worker(index);
}

/// Those without a task first.
void ProcessPool::retire_surplus(std::vector<std::uint32_t>& staying) {
    std::vector<bool> busy(places_);
    board_.visit_taken([&](BoardTask&, std::uint32_t worker) { busy[worker] = true; });
    std::partition(staying.begin(), staying.end(), [&](std::uint32_t index) {
        return busy[index];
    });
    while (staying.size() > most_workers()) {
        tell_to_retire(staying.back());
        staying.pop_back();
    }
}

/// Those that have not heard of it yet. The others end, and are replaced when there is
/// work.
void ProcessPool::keep_retiring(std::size_t count) {
    for (std::uint32_t index = 0; index < board_.places_used() && count > 0; ++index) {
        Worker& worker = workers_.at(index);
        if (worker.process && worker.retiring && !board_.has_idled(index) &&
            board_.keep_worker(index)) {
            worker.retiring = false;
            --count;
        }
    }
}

void ProcessPool::retire_idle(const std::vector<std::uint32_t>& staying) {
    const auto least = static_cast<std::size_t>(options_.min_workers.value());
    std::size_t count = staying.size();
    for (auto index = staying.rbegin(); index != staying.rend() && count > least;
         ++index) {
        if (board_.has_idled(*index)) {
            tell_to_retire(*index);
            --count;
        }
    }
}

}  // namespace futures::detail
