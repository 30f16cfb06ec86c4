// SPDX-License-Identifier: BSL-1.0
// TrackerLink: one resource tracker, as a process that tells it something knows it. A
// process that changes its user has one for each: see
// docs/protocols/resource_tracker.md.
#pragma once

#include "mp/fd.hpp"

#include "os/named_memory.hpp"
#include "process/tracker_protocol.hpp"

#include <sys/types.h>

#include <span>
#include <string>
#include <vector>

namespace mp::detail {

struct Tracked {
    std::string name;
    os::FileId id;
};

/// Threads: one at a time.
class TrackerLink {
public:
    /// Of the present effective user, without a tracker.
    TrackerLink() noexcept;

    /// To the tracker at the other end of `connection`, which a parent has made.
    explicit TrackerLink(UniqueFd connection) noexcept;

    /// The user that the tracker acts as.
    uid_t user() const noexcept { return user_; }

    /// Is there one, as far as is known here?
    explicit operator bool() const noexcept { return static_cast<bool>(socket_); }

    /// The tracker, if this process started it; else -1.
    pid_t pid() const noexcept { return pid_; }

    /// What this process made, for a tracker that has to be told anew.
    std::vector<Tracked>& mine() noexcept { return mine_; }

    bool has(const os::FileId& id) const noexcept;
    void drop(const os::FileId& id) noexcept;

    /// Starts the tracker when there is none, and another one when it was killed; of
    /// another user's, which cannot be had again, it says nothing then. Throws
    /// SpawnError, TimeoutError, std::system_error.
    void say(TrackerWord word, const Tracked& about);

    /// The same, if there is a tracker that knows of this process.
    void say_if_known(TrackerWord word, const Tracked& about);

    /// Has it remove what it was told to track. False when it does not.
    bool remove(const Tracked& tracked);

    /// A connection of its own for a child, or an empty one.
    UniqueFd connection_for_child() noexcept;

    /// What other processes have removed, the tracker need not call left behind.
    void forget_what_is_gone();

    void close() noexcept { socket_.reset(); }

    /// In a forked child: closes the parent's descriptors, but for the connection: see
    /// close_tracker_sockets_of_parent(). What else there is may be half-changed.
    void abandon() noexcept;

    /// Forgets that the tracker knows of this process.
    void withdraw() noexcept;

    /// Waits a moment for the end of a tracker that this process started.
    void wait_for_end();

private:
    void start();
    void introduce();
    void tell(TrackerWord word, const Tracked& about, std::span<const int> fds = {});

    uid_t user_;
    UniqueFd socket_;
    bool introduced_ = false;
    // Of the tracker, if this process started it; and of one that did not end in time.
    pid_t pid_ = -1;
    UniqueFd pidfd_;
    UniqueFd given_up_;
    std::vector<Tracked> mine_;
};

}  // namespace mp::detail
