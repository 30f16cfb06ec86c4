// SPDX-License-Identifier: BSL-1.0
// forkserver_client: the side of the process that a fork server forks children for, its
// client. See docs/protocols/forkserver.md.
#pragma once

#include "mp/detail/creator.hpp"
#include "mp/fd.hpp"
#include "mp/thread_safety.hpp"

#include "os/credentials.hpp"
#include "os/pidfd.hpp"
#include "process/forkserver_protocol.hpp"

#include <sys/types.h>

#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

namespace mp::detail {

/// One running server. The Popens of the children that it forked keep it (shared_ptr)
/// until they know how those ended; a server that has been replaced ends with the last
/// of them.
class ForkServer {
public:
    ForkServer(UniqueFd socket, os::Credentials credentials) noexcept;
    ~ForkServer();
    /// The process, once there is one.
    void own(UniqueFd pidfd) noexcept { pidfd_ = std::move(pidfd); }

    ForkServer(const ForkServer&) = delete;
    ForkServer& operator=(const ForkServer&) = delete;

    /// The server of this process, started at first use, when the last one is gone, and
    /// when that one has other credentials than this process has now.
    /// Throws SpawnError.
    static std::shared_ptr<ForkServer> running(const Deadline& deadline);

    struct Started {
        std::uint64_t serial;
        pid_t pid;
        UniqueFd pidfd;
        UniqueFd link;  ///< our end of the socket that the child reads from
    };

    /// A child that waits for its message: the one asked for ahead, usually.
    /// Throws SpawnError{forkserver} when the server refuses or is gone, {timeout}.
    Started fork_child(const Deadline& deadline);

    /// How the child with that serial number ended. Waits until the server tells.
    /// Throws TimeoutError; EOFError or std::system_error when the server is gone.
    os::ExitStatus exit_status(std::uint64_t serial, const Deadline& deadline);

    /// Has the server ended, or hung up?
    bool is_gone();

    /// Waits for the end of a server that hung up: by then another process has adopted
    /// its children. False when it has not ended in time.
    bool wait_for_end(const Deadline& deadline) const;

    /// From now on it forks nothing; it still tells how its children end.
    void retire() noexcept;

    bool is_retired() const noexcept { return retired_; }

    /// Closes the socket, which ends the server, and waits for that.
    void stop() noexcept;

    /// After stop(): how it ended; nothing when nobody can tell.
    std::optional<int> exitcode() const noexcept { return exitcode_; }

    /// In a forked child, whose parent's server it is: closes the copies of its
    /// descriptors. Takes no lock.
    void abandon() noexcept MP_NO_THREAD_SAFETY_ANALYSIS;

    /// What it and its children may do is what its client could do when it started it.
    const os::Credentials& credentials() const noexcept { return credentials_; }

private:
    Started next_child(const Deadline& deadline) MP_REQUIRES(mutex_);
    void ask(const Deadline& deadline) MP_REQUIRES(mutex_);
    void read_reply(const Deadline& deadline) MP_REQUIRES(mutex_);
    void read_what_there_is() noexcept MP_REQUIRES(mutex_);
    std::string read_text(std::int32_t size, const Deadline& deadline)
        MP_REQUIRES(mutex_);

    // Set once in the constructor.
    const Creator creator_;
    const os::Credentials credentials_;
    UniqueFd pidfd_;
    // The stopping thread's own.
    std::optional<int> exitcode_;
    // Own synchronisation. The socket of a server that ends is closed before its pidfd
    // says so.
    std::atomic<bool> hung_up_ = false;
    std::atomic<bool> retired_ = false;
    // Guarded by mutex_.
    Mutex mutex_;
    UniqueFd socket_ MP_GUARDED_BY(mutex_);
    std::uint64_t last_serial_ MP_GUARDED_BY(mutex_) = 0;
    std::map<std::uint64_t, os::ExitStatus> ended_ MP_GUARDED_BY(mutex_);
    // A request is on its way, or its reply.
    bool asked_ MP_GUARDED_BY(mutex_) = false;
    std::optional<Started> ready_ MP_GUARDED_BY(mutex_);
    std::optional<std::string> refusal_ MP_GUARDED_BY(mutex_);
};

}  // namespace mp::detail
