// SPDX-License-Identifier: BSL-1.0
// primitives: what tasks of one loop wait for each other with.
// Python:  anyio's Event, Lock, Semaphore, CapacityLimiter, Condition and ResourceGuard;
//          those of lionpride.libs.concurrency, and its Queue.
// Differs: what each of them says.
// Threads: their loop's: they have no lock of their own.
// Read next: concurrency/lock.hpp, src/concurrency/primitives/README.md
#pragma once

#include "concurrency/capacity_limiter.hpp"
#include "concurrency/condition.hpp"
#include "concurrency/event.hpp"
#include "concurrency/lock.hpp"
#include "concurrency/queue.hpp"
#include "concurrency/resource_guard.hpp"
#include "concurrency/semaphore.hpp"
