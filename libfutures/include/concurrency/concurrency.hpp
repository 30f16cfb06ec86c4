// SPDX-License-Identifier: BSL-1.0
// Everything of libmp::concurrency but what needs Boost.Asio in a header:
// <concurrency/run.hpp>, <concurrency/asio.hpp> and <concurrency/subprocess.hpp>.
// Python:  import anyio.
// Differs: nothing to differ from.
// Threads: as each part says.
#pragma once

#include "concurrency/backend.hpp"
#include "concurrency/blocking_portal.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/clock.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/from_thread.hpp"
#include "concurrency/future_streams.hpp"
#include "concurrency/futures.hpp"
#include "concurrency/local.hpp"
#include "concurrency/own.hpp"
#include "concurrency/patterns.hpp"
#include "concurrency/primitives.hpp"
#include "concurrency/priority_queue.hpp"
#include "concurrency/queue.hpp"
#include "concurrency/resource_tracker.hpp"
#include "concurrency/run_options.hpp"
#include "concurrency/running_tasks.hpp"
#include "concurrency/signals.hpp"
#include "concurrency/streams.hpp"
#include "concurrency/submit.hpp"
#include "concurrency/task.hpp"
#include "concurrency/task_group.hpp"
#include "concurrency/testing.hpp"
#include "concurrency/to_process.hpp"
#include "concurrency/to_thread.hpp"
#include "concurrency/utils.hpp"
