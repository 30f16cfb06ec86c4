// SPDX-License-Identifier: BSL-1.0
// SubmitOptions: what a caller says of one task, to either pool.
// Python:  none; pebble's schedule(timeout=...) and the like.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include "futures/after.hpp"
#include "futures/limits.hpp"
#include "mp/timeout.hpp"

#include <cstdint>

namespace futures {

/// For one task: `pool.submit({.timeout = 2s, .retries = 1}, fetch, url)`. A thread
/// cannot be stopped from outside: ThreadPoolExecutor::submit() throws
/// std::invalid_argument for what needs that.
struct SubmitOptions {
    /// Longest time to run, decoding of the arguments included, waiting for a worker
    /// not. After it the worker is killed and replaced, the future raises TaskTimeout;
    /// no other task is harmed, the pool does not break. Looked at every 20 ms: a task
    /// is never stopped early. Process pools only.
    mp::Timeout timeout = mp::forever;
    /// How often it is run again when its worker dies, unless that breaks the pool, or
    /// its time is up. Process pools only.
    std::uint32_t retries = 0;
    /// The task begins when these are done: `.after = {f, g}`. If one fails, it is not
    /// run and raises DependencyError; if one is cancelled, CancelledError.
    After after = {};
    /// How much of the machine it may use; each that is left out is the pool's. Process
    /// pools only. std::invalid_argument for one that leaves nothing.
    Limits limits = {};
};

namespace detail {

/// Throws std::invalid_argument, naming it, for an option that a thread cannot have.
void check_options_of_thread(const SubmitOptions& options);

}  // namespace detail
}  // namespace futures
