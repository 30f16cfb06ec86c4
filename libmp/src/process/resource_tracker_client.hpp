// SPDX-License-Identifier: BSL-1.0
// resource_tracker_client: what a process tells its tracker, so that named memory does
// not outlive all processes that know of it. A process and the children that it starts
// share one tracker if it runs when they are started and they are one user. See
// docs/protocols/resource_tracker.md.
#pragma once

#include "mp/fd.hpp"

#include "os/named_memory.hpp"

#include <sys/types.h>

#include <cstdint>
#include <string>

namespace mp::detail {

/// This process made it (or is just about to give it its name). Starts the tracker.
/// Throws SpawnError, TimeoutError when the tracker is stopped, std::invalid_argument
/// for a name that does not fit a message.
void track_memory(const std::string& name, const os::FileId& id);

/// Its name is gone. What fails is logged.
void forget_memory(const std::string& name, const os::FileId& id) noexcept;

/// Has the tracker remove its name: for a process that made the memory and has given up
/// the right to do it since. False when the tracker knows nothing of it, has it from
/// another process, cannot do it either, or there is none.
bool remove_tracked_memory(const std::string& name, const os::FileId& id);

/// For a child that is being started by this thread: the index of the descriptor it
/// gets, a connection of its own; -1 when no tracker of our user runs.
std::int32_t hand_over_resource_tracker();

/// In a child, before user code.
void set_resource_tracker(UniqueFd connection);

/// While it lives, the child that this thread forks gets a connection of its own to the
/// tracker, if one runs.
class TrackerForFork {
public:
    TrackerForFork();
    ~TrackerForFork();
    TrackerForFork(const TrackerForFork&) = delete;
    TrackerForFork& operator=(const TrackerForFork&) = delete;

private:
    UniqueFd connection_;
};

/// Ends the connection, and waits a second for the tracker's end if it is ours. It goes
/// on as long as other processes need it.
void stop_resource_tracker() noexcept;

/// The tracker that this process started; -1 when it did not.
pid_t resource_tracker_pid();

}  // namespace mp::detail
