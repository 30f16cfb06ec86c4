// SPDX-License-Identifier: BSL-1.0
// The small names of lionpride's utils: current_time, sleep, run_sync, is_coro_func.
// Python:  lionpride.libs.concurrency._utils.
// Differs: see each.
// Threads: a task of a loop; is_coro_func is a constant.
#pragma once

#include "concurrency/checkpoint.hpp"  // IWYU pragma: export
#include "concurrency/clock.hpp"       // IWYU pragma: export
#include "concurrency/coroutine.hpp"   // IWYU pragma: export
#include "concurrency/to_thread.hpp"   // IWYU pragma: export
