// SPDX-License-Identifier: BSL-1.0
// set_forkserver_preload, forkserver_refresh, stop_helpers: the small process that
// forks children for us.
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

/// The next start by forkserver gets a server that is started anew, and so do all after
/// it. Children of the server before live on; it ends with the last of them. What a
/// child has from its server is what this process had when that began: environment,
/// umask, nice value, resource limits, CPU affinity, standard output and error, root
/// directory. (Working directory and start method are those of the start; other
/// credentials renew the server by themselves.) Python: none; there a server can only
/// be stopped, by a private function.
/// Waits for a start that is under way, and for the end of a server that has no
/// children: some milliseconds; if it is stopped or its static objects take their time,
/// up to ten seconds.
void forkserver_refresh();

/// Ends the helper processes of this process, the fork server and the resource tracker,
/// and waits for them: for a tracker that other processes still need, a second at most.
/// Children that the server forked live on. The next use starts new ones.
void stop_helpers();

}  // namespace mp
