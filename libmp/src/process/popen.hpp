// SPDX-License-Identifier: BSL-1.0
// Popen: one started process, as its parent sees it. Each start method has its own
// kind.
#pragma once

#include "mp/fd.hpp"
#include "mp/thread_safety.hpp"
#include "mp/timeout.hpp"

#include "data/spawning.hpp"
#include "os/pidfd.hpp"
#include "util/parent_watch.hpp"

#include <sys/types.h>

#include <cstddef>
#include <optional>
#include <span>
#include <vector>

namespace mp::detail {

class Popen {
public:
    /// Made before there is a process, so that there is never a process that nothing
    /// watches because memory is short.
    Popen() noexcept = default;

    Popen(pid_t pid, UniqueFd pidfd) noexcept : pid_(pid), pidfd_(std::move(pidfd)) {}

    /// The process that it is about. Once, before the object is the caller's.
    void own(pid_t pid, UniqueFd pidfd) noexcept {
        pid_ = pid;
        pidfd_ = std::move(pidfd);
    }

    /// How to end it when it may not be signalled. Once, as own().
    void hold(Lifeline lifeline) noexcept;

    virtual ~Popen() = default;
    Popen(const Popen&) = delete;
    Popen& operator=(const Popen&) = delete;

    pid_t pid() const noexcept { return pid_; }

    /// Readable from the moment the process has ended.
    int sentinel() const noexcept { return pidfd_.get(); }

    /// Never blocks, reaps nothing.
    bool has_ended() const;

    /// Waits for the end; false when the deadline passed.
    bool wait(const Deadline& deadline) const;

    /// The exit code, if the process has ended; reaps it. Any thread may ask.
    std::optional<int> poll();

    /// The same, but nothing, too, when the code would have to be waited for.
    std::optional<int> poll_now();

    /// Its largest resident size, once its end has been collected; 0 when unknown.
    std::size_t peak_memory_bytes();

    /// All that is known of its end, once that has been collected.
    std::optional<os::ExitStatus> status();

    /// Does nothing when the process has ended. A process that may not be signalled is
    /// killed by its lifeline, by SIGTERM, too. Throws std::system_error: EPERM when
    /// there is none.
    void send_signal(int signal);

    /// Ends and reaps a process whose start has failed.
    void kill_and_reap() noexcept;

protected:
    /// The process has ended: how? Called under the lock.
    /// Nothing only if the helper that knows is silent until the deadline, or the
    /// kernel does not give the child out yet. Not called again after a code.
    virtual std::optional<os::ExitStatus> collect(const Deadline& deadline) = 0;

    /// Reaps a child of this process. Waits while somebody else holds it: a debugger,
    /// or the leak check of a sanitizer in which it was killed.
    std::optional<os::ExitStatus> collect_own_child(const Deadline& deadline) const;

private:
    // Set once.
    pid_t pid_ = 0;
    UniqueFd pidfd_;
    // Guarded by mutex_.
    Mutex mutex_;
    Lifeline lifeline_ MP_GUARDED_BY(mutex_);
    std::optional<os::ExitStatus> status_ MP_GUARDED_BY(mutex_);
};

/// A child that runs the same program and is told over a socket what to do.
class LinkedPopen : public Popen {
public:
    explicit LinkedPopen(UniqueFd link) noexcept : link_(std::move(link)) {}

    LinkedPopen(pid_t pid, UniqueFd pidfd, UniqueFd link) noexcept
        : Popen(pid, std::move(pidfd)), link_(std::move(link)) {}

    /// Sends what the child is to run. The child may end meanwhile: await_start()
    /// tells. Throws SpawnError{os, timeout}; then the child is killed and reaped.
    void send(
        std::span<const std::byte> body,
        std::span<const UniqueFd> fds,
        std::span<const TravellingSecret> secrets,
        const Deadline& deadline
    );

    /// Waits until the child said that it runs.
    /// Throws SpawnError{handshake, timeout}, BinaryMismatch; then the child is killed
    /// and reaped.
    void await_start(const Deadline& deadline);

private:
    [[noreturn]] void throw_ended_early();
    [[noreturn]] void throw_too_late();
    UniqueFd link_;
    bool broken_ = false;
};

}  // namespace mp::detail
