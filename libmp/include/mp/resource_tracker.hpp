// SPDX-License-Identifier: BSL-1.0
// resource_tracker: the helper process that removes the names of shared memory which
// killed processes left.
// Python:  multiprocessing.resource_tracker.
// Differs: what a killed process made goes as soon as no living process of this library
//          uses it, not only when the whole family has ended; what one does use is
//          never removed. Attaching registers nothing. Users of SharedMemory need not
//          know it.
// Threads: any.
// Processes: children share the tracker that runs when they are started.
#pragma once

namespace mp::resource_tracker {

/// Starts the tracker if this process has none, in a moment of the caller's choice;
/// otherwise the first SharedMemory that is made does it. One that was killed is
/// replaced, with one line in the log. Throws SpawnError.
void ensure_running();

}  // namespace mp::resource_tracker
