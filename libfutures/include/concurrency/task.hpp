// SPDX-License-Identifier: BSL-1.0
// Tasks: the Task that a coroutine function returns, and the TaskGroup that runs
// several of them at once.
// Python:  lionpride.libs.concurrency._task.
// Differs: see each.
// Threads: their loop's.
#pragma once

#include "concurrency/coroutine.hpp"   // IWYU pragma: export
#include "concurrency/task_group.hpp"  // IWYU pragma: export
