// SPDX-License-Identifier: BSL-1.0
// ThreadControl: what is said of one task of a thread pool beside the call, and whether
// it is to stop. Most tasks have none.
// Python:  none; see SubmitOptions.
// Differs: nothing to differ from.
// Threads: any.
// Owns:    itself; it lives while the task or the timer counts it.
#pragma once

#include "futures/submit_options.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include <atomic>
#include <cstdint>
#include <map>
#include <optional>
#include <stop_token>
#include <string>
#include <utility>

namespace futures::detail {

class SoftTimer;
class Work;

/// Why a task of a thread pool is to stop.
enum class SoftStop : std::uint8_t { no, timeout, cancelled };

class ThreadControl {
public:
    using Timers = std::multimap<mp::Deadline::Clock::time_point, ThreadControl*>;

    ThreadControl() = default;

    explicit ThreadControl(SubmitOptions& options)
        : limit(options.timeout),
          name(std::move(options.name)),
          priority(level_of(options.priority)) {}

    ThreadControl(const ThreadControl&) = delete;
    ThreadControl& operator=(const ThreadControl&) = delete;

    void add_reference() noexcept {
        // order: relaxed, because the caller already holds a reference.
        references_.fetch_add(1, std::memory_order_relaxed);
    }

    void drop_reference() noexcept {
        // order: acq_rel, so that the last one sees what the others did.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    /// Asks the task to stop. A later reason takes the place of an earlier one only if
    /// it is a cancellation.
    void stop(SoftStop reason) noexcept;

    /// The time of a call is up, unless it is over and another one has taken its place.
    void stop_late(std::uint32_t call) noexcept;

    SoftStop reason() const noexcept { return reason_.load(); }

    bool stop_requested() const noexcept { return reason() != SoftStop::no; }

    /// Whoever asks for its cancellation later sees what this thread did before.
    bool is_cancelled_by_now() const noexcept;

    std::stop_token token() const noexcept;

    /// Before the task is called again: it is not to stop any more. False when it was
    /// cancelled, or there is no memory.
    bool renew() noexcept;

    /// The thread that is about to call the task: its time begins.
    void begin() noexcept;
    /// The same: the call is over.
    void end() noexcept;

    // Set before the task is submitted.
    const mp::Timeout limit = mp::forever;
    const std::string name = {};
    SoftTimer* timer = nullptr;  ///< the pool's; null: without a limit

    // Before the task is submitted; then of its pool's line of work.

    /// Of what has none. Between two priorities of the program is one for the children
    /// of tasks: they go before what has their parent's priority and is no child.
    static constexpr std::int64_t level_of(int priority) noexcept {
        return std::int64_t{2} * priority;
    }

    static constexpr std::int64_t level_of_child(std::int64_t parent) noexcept {
        return parent | 1;
    }

    std::int64_t priority = 0;
    std::uint64_t turn = 0;          ///< of equal ones, the smaller is first
    std::uint64_t plain_before = 0;  ///< so many without a priority came before it
    Work* ranked = nullptr;          ///< the task, while it waits for its turn

    // Set by the thread that calls the task, before it does.
    mp::Deadline deadline{mp::forever};

    // Guarded by the timer.
    std::optional<Timers::iterator> timed = {};
    std::uint32_t timed_call = 0;
    mp::Deadline due{mp::forever};
    bool is_due_back = false;  ///< it is the end of its rest, not of its time

    // Guarded by the pool's mutex: it waits apart from the queue for its next call.
    std::uint32_t pool = 0;
    Work* aside = nullptr;  ///< the task, with a reference, while it does
    ThreadControl* next_aside = nullptr;
    ThreadControl* previous_aside = nullptr;

private:
    ~ThreadControl() = default;

    std::atomic<std::uint32_t> references_{1};
    std::atomic<SoftStop> reason_{SoftStop::no};  // written under mutex_
    mutable mp::detail::Mutex mutex_;
    std::stop_source source_ MP_GUARDED_BY(mutex_);
    std::uint32_t call_ MP_GUARDED_BY(mutex_) = 0;  // the number of the latest
};

}  // namespace futures::detail
