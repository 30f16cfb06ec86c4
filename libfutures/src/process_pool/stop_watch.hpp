// SPDX-License-Identifier: BSL-1.0
// StopWatch: in a worker, how a task learns that it is to stop: a word in shared
// memory, and a thread that sleeps on it, for tasks that want a stop token.
// docs/protocols/kill_ladder.md is the protocol.
// Threads: any, but for the destructor.
// Processes: in a child of the worker, which has no such memory, no task is to stop.
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include "process_pool/board_layout.hpp"

#include <cstdint>
#include <stop_token>
#include <thread>

namespace futures::detail {

class StopWatch {
public:
    explicit StopWatch(WorkerControl& control) noexcept : control_(control) {}

    StopWatch(const StopWatch&) = delete;
    StopWatch& operator=(const StopWatch&) = delete;
    ~StopWatch();

    /// Whether the task at that position is to stop.
    bool is_to_stop(std::uint64_t position) const noexcept {
        return creator_.is_here() && control_.stopped_task.load() == position + 1;
    }

    /// The token of the task at that position, which runs. The first call makes the
    /// thread: throws std::system_error. Throws mp::StateError in a child.
    std::stop_token token_of(std::uint64_t position);

private:
    void run() noexcept;
    bool pass_on() noexcept;

    // Set once in the constructor.
    const mp::detail::Creator creator_;
    WorkerControl& control_;

    mp::detail::Mutex mutex_;
    std::uint64_t position_ MP_GUARDED_BY(mutex_) = ~std::uint64_t{0};
    std::stop_source source_ MP_GUARDED_BY(mutex_){std::nostopstate};
    std::thread thread_ MP_GUARDED_BY(mutex_);
    bool ending_ MP_GUARDED_BY(mutex_) = false;
};

}  // namespace futures::detail
