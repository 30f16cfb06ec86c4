// SPDX-License-Identifier: BSL-1.0
// TrackerList: what the resource tracker knows: named memory, the processes that made
// it, and what is to be removed.
#pragma once

#include "mp/fd.hpp"

#include "os/named_memory.hpp"

#include <sys/types.h>

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mp::detail {

/// The exit status of a tracker; the worst of what happened.
enum class TrackerStatus {
    clean = 0,
    left_behind = 1,
    not_removed = 2,
    bad_message = 3
};

class TrackerList {
public:
    /// The number by which a process names itself: its process_token().
    using Process = std::uint64_t;

    /// A process that makes memory.
    struct Maker {
        pid_t pid = -1;        ///< as it names itself
        pid_t known_pid = -1;  ///< as the kernel named it when it was our user
        UniqueFd pidfd;        ///< until it has left as it should
        UniqueFd parent_watch;
    };

    void meet(Process process, Maker maker);

    /// Null if it is not known.
    const Maker* maker(Process process) const;

    /// The pidfds of those whose end is to be heard of.
    std::vector<std::pair<Process, int>> watched() const;

    /// Throws std::exception for a name that SharedMemory would not take.
    void track(const std::string& name, const os::FileId& id, Process process);

    /// Of that process's entries only, if one is given.
    void forget(const os::FileId& id, std::optional<Process> of);

    /// It ends as it should: what it made stays for the others.
    void leave(Process process);

    /// Forgets it and what it made.
    void withdraw(Process process);

    /// Removes the name of an entry, now. False if there is none, or it cannot be done.
    bool remove_now(const os::FileId& id, std::optional<Process> of);

    /// It ended without a word: it was killed, or left by _exit().
    void recover(Process process);

    /// Nobody can tell us anything any more: all have ended, or closed their
    /// connections. What a process made that still runs stays until it ends; what a
    /// child left for its parent, which never had a part in this tracker, as long as
    /// the parent runs.
    void condemn_what_nobody_awaits();

    /// Removes what is condemned and not in use; forgets what is gone of which
    /// `nobody_can_tell` that it is.
    void sweep(bool nobody_can_tell);

    bool empty() const noexcept { return entries_.empty(); }

    bool has_condemned() const noexcept;

    /// A line on stderr.
    static void say(std::string_view text);

    void worse(TrackerStatus status) noexcept;

    TrackerStatus status() const noexcept { return status_; }

private:
    struct Entry {
        std::string name;
        os::FileId id;
        Process process = 0;
        bool condemned = false;
        bool was_in_use = false;
    };

    bool still_runs(Process process) const;
    bool is_awaited(Process process) const;
    bool remove(Entry& entry);

    std::map<Process, Maker> makers_;
    std::vector<Entry> entries_;
    TrackerStatus status_ = TrackerStatus::clean;
};

}  // namespace mp::detail
