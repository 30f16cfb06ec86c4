// SPDX-License-Identifier: BSL-1.0
// mp: what `import multiprocessing as mp` gives. The logger is apart, in mp/log.hpp.
// Python:  multiprocessing.
// Differs: see the headers.
// Threads: see the headers.
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "mp/address.hpp"
#include "mp/after_fork.hpp"
#include "mp/authentication.hpp"
#include "mp/call.hpp"
#include "mp/connection.hpp"
#include "mp/context.hpp"
#include "mp/cpu_count.hpp"
#include "mp/dup_fd.hpp"
#include "mp/errors.hpp"
#include "mp/finalize.hpp"
#include "mp/forkserver.hpp"
#include "mp/joinable_queue.hpp"
#include "mp/listener.hpp"
#include "mp/process.hpp"
#include "mp/raw_value.hpp"
#include "mp/reduction.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/send_handle.hpp"
#include "mp/shareable_list.hpp"
#include "mp/shared_memory.hpp"
#include "mp/simple_queue.hpp"
#include "mp/spawn.hpp"
#include "mp/start_method.hpp"
#include "mp/synchronize.hpp"
#include "mp/timeout.hpp"
#include "mp/units.hpp"
#include "mp/value.hpp"
#include "mp/wait.hpp"
#include "mp/worker_local.hpp"
