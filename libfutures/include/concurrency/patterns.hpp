// SPDX-License-Identifier: BSL-1.0
// The patterns of structured concurrency: gather, race, bounded_map, retry and
// CompletionStream.
// Python:  lionpride.libs.concurrency._patterns.
// Differs: see each.
// Threads: a task of a loop.
#pragma once

#include "concurrency/bounded_map.hpp"        // IWYU pragma: export
#include "concurrency/completion_stream.hpp"  // IWYU pragma: export
#include "concurrency/gather.hpp"             // IWYU pragma: export
#include "concurrency/outcome.hpp"            // IWYU pragma: export
#include "concurrency/race.hpp"               // IWYU pragma: export
#include "concurrency/retry.hpp"              // IWYU pragma: export
