// SPDX-License-Identifier: BSL-1.0
// synchronize: all locks and signals between processes.
// Python:  multiprocessing.synchronize.
// Differs: see the headers.
// Threads: see the headers.
#pragma once

#include "mp/barrier.hpp"
#include "mp/condition.hpp"
#include "mp/event.hpp"
#include "mp/lock.hpp"
#include "mp/rlock.hpp"
#include "mp/semaphore.hpp"
