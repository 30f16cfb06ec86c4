// SPDX-License-Identifier: BSL-1.0
// set_forkserver_preload, stop_helpers: the small process that forks children for us.
// Python:  multiprocessing.set_forkserver_preload, multiprocessing.forkserver.
// Differs: functions are preloaded, not modules. The server belongs to one process,
//          over a socket that nobody else can reach, so it needs no key.
// Threads: any.
#pragma once

#include <vector>

namespace mp {

/// Functions that the next fork server runs once when it begins, so that its children
/// find their work done. A function that throws makes start() fail with
/// SpawnError{forkserver}; so does one that leaves a thread behind.
void set_forkserver_preload(std::vector<void (*)()> functions);

/// Ends the helper processes of this process, the fork server and the resource tracker,
/// and waits for them: for a tracker that other processes still need, a second at most.
/// Children that the server forked live on. The next use starts new ones.
void stop_helpers();

}  // namespace mp
