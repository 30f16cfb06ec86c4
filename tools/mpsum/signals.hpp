// SPDX-License-Identifier: BSL-1.0
// SignalWatch: a thread that waits for the signals that ask the program to end.
// No handler: what ends the program is ordinary code, whatever the main thread is
// blocked in.
// Threads: constructed by main; `on_signal` runs in the watching thread.
#pragma once

#include "mp/fd.hpp"

#include <functional>
#include <thread>

namespace mpsum {

/// Blocks SIGINT, SIGTERM and SIGHUP in the calling thread and those it starts, and
/// ignores SIGPIPE, so that a closed pipe is an error of write(2). Before any thread.
void block_ending_signals();

/// The process ends with that status a second later at the latest, whatever the caller
/// does next or blocks in (a stopped terminal is enough).
void exit_within_a_second(int status) noexcept;

class SignalWatch {
public:
    /// Requires: block_ending_signals() was called.
    explicit SignalWatch(std::function<void(int signal)> on_signal);

    /// Stops watching; waits for an `on_signal` under way.
    ~SignalWatch();
    SignalWatch(SignalWatch&&) = delete;
    SignalWatch& operator=(SignalWatch&&) = delete;

private:
    void watch(const std::function<void(int)>& on_signal);

    mp::UniqueFd signals_;
    mp::UniqueFd stop_;
    std::thread thread_;
};

}  // namespace mpsum
