// SPDX-License-Identifier: BSL-1.0
// futures: what `import concurrent.futures as futures` gives.
// Python:  concurrent.futures.
// Differs: see the headers.
// Threads: see the headers.
#pragma once

// clang-format off: first, else each refusal begins with a long chain of includes
#include "mp/detail/refusal.hpp"
// clang-format on

#include "futures/after.hpp"
#include "futures/as_completed.hpp"
#include "futures/errors.hpp"
#include "futures/executor.hpp"
#include "futures/future.hpp"
#include "futures/process_pool.hpp"
#include "futures/retry.hpp"
#include "futures/submit_options.hpp"
#include "futures/then.hpp"
#include "futures/this_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "futures/when.hpp"
#include "mp/spawn.hpp"  // main() begins with mp::freeze_support()
