// SPDX-License-Identifier: BSL-1.0
// WorkerOutput: what the workers of a pool print. Their stdout and stderr are pipes; a
// thread passes on what comes to this program's own, and keeps the end of it for the
// report of a worker that dies.
//
// A worker waits in its write only when the thread has more than it may hold, because
// this program's own stream takes no more: there the worker would wait without us, too.
#pragma once

#include "futures/errors.hpp"
#include "mp/detail/event_fd.hpp"
#include "mp/fd.hpp"
#include "mp/thread_safety.hpp"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

struct pollfd;

namespace futures::detail {

/// The end of a text that may be long.
class TextTail {
public:
    static constexpr std::size_t size = 4096;

    void add(std::string_view text);

    const std::string& text() const noexcept { return text_; }

private:
    std::string text_;
};

class WorkerOutput {
public:
    static constexpr std::size_t streams = 2;  ///< stdout, stderr
    /// Of each stream, read and not passed on yet; the pipes have room for more.
    static constexpr std::size_t most_held = std::size_t{256} << 10U;

    WorkerOutput() = default;
    WorkerOutput(const WorkerOutput&) = delete;
    WorkerOutput& operator=(const WorkerOutput&) = delete;

    /// Requires: finish() or abandon() was called, if start() was.
    ~WorkerOutput() = default;

    /// Two pipes for a new worker; returns the ends that it writes to, which stay this
    /// object's. Throws std::system_error.
    std::array<int, streams> open(std::uint32_t worker) MP_EXCLUDES(mutex_);

    /// The worker has its ends, or none was started: closes ours.
    void handed_over(std::uint32_t worker) noexcept MP_EXCLUDES(mutex_);

    /// Closes all that was opened for workers of which none was started.
    void drop_unstarted() noexcept MP_EXCLUDES(mutex_);

    /// Calls `fork()`: in the children leave_to_parent() finds this object whole.
    template <class Fork>
    void while_standing(Fork fork) MP_EXCLUDES(mutex_) {
        const mp::detail::MutexLock lock(mutex_);
        fork();
    }

    /// In a worker forked within while_standing(): closes all ends but those that it
    /// writes to, so that a pipe ends with its own worker.
    void leave_to_parent(std::uint32_t worker) noexcept MP_NO_THREAD_SAFETY_ANALYSIS;

    /// Throws std::system_error when there is no thread to be had.
    void start();

    /// The worker has ended: what it printed last. Never waits.
    void tell(CrashReport& report, std::uint32_t worker) MP_EXCLUDES(mutex_);

    /// All workers have ended: passes on what is left, and ends the thread. Waits for
    /// this program's streams to take it, but not for ever. If start() was not called,
    /// only closes what is open.
    void finish() noexcept;

    /// finish() waits for nothing.
    void hurry() noexcept;

    /// In a forked child, where the thread does not exist: forgets it.
    void abandon() noexcept;

private:
    struct Channel {
        std::uint32_t worker;
        bool is_current;  ///< no later worker has its number
        std::array<mp::UniqueFd, streams> readers;
        std::array<mp::UniqueFd, streams> writers;
        std::array<TextTail, streams> tails;
        TextTail both;
    };

    void run() noexcept;
    void end_well();
    enum class Turn : std::uint8_t { timed_out, idle, passed_on };
    Turn turn(std::vector<pollfd>& entries, int wait_ms) MP_EXCLUDES(mutex_);
    void list(std::vector<pollfd>& entries) MP_EXCLUDES(mutex_);
    void read_all() MP_REQUIRES(mutex_);
    void read_rest(Channel& channel) MP_REQUIRES(mutex_);
    bool read(Channel& channel, std::size_t stream, std::size_t most)
        MP_REQUIRES(mutex_);
    bool pass_on(std::size_t stream) MP_EXCLUDES(mutex_);
    bool holds_any() MP_EXCLUDES(mutex_);

    // Own synchronisation.
    mp::detail::EventFd bell_;
    std::atomic<bool> ending_{false};
    std::atomic<bool> in_a_hurry_{false};

    // Guarded by mutex_.
    mp::detail::Mutex mutex_;
    std::vector<Channel> channels_ MP_GUARDED_BY(mutex_);
    std::array<std::string, streams> held_ MP_GUARDED_BY(mutex_);

    // The pool's.
    std::thread thread_;
};

/// In a worker: these become its stdout and stderr, and the numbers are closed. From
/// now on a line that it prints is sent when it ends, as on a terminal.
void print_into(const std::array<int, WorkerOutput::streams>& writers);

}  // namespace futures::detail
