// SPDX-License-Identifier: BSL-1.0
// The limits that we are held against: the least program that does the same work with
// bare system calls.
// Threads: main.
#pragma once

#include <cstddef>
#include <string>
#include <vector>

namespace bench {

/// fork, _exit in the child, waitpid.
void raw_fork_and_wait();

/// posix_spawn, waitpid. Requires: the program ends by itself.
void raw_spawn_and_wait(const std::vector<std::string>& arguments);

/// Runs it and returns what it printed.
std::string raw_output_of(const std::vector<std::string>& arguments);

/// A forked worker and two rings of 64-byte slots in shared memory, without futures,
/// wake-ups or protection against a dead party: what a pool cannot beat.
class RawRing {
public:
    RawRing();
    ~RawRing();
    RawRing(RawRing&&) = delete;
    RawRing& operator=(RawRing&&) = delete;

    /// Sends a number and waits for its successor.
    void round_trip();

    /// The same for many, as many under way as the rings hold.
    void stream(std::size_t count);

private:
    struct Shared;

    Shared* shared_;
    int worker_;
};

/// A forked process that sends back what comes over a socket pair, read and written as
/// it is.
class RawPair {
public:
    explicit RawPair(std::size_t size);
    ~RawPair();
    RawPair(RawPair&&) = delete;
    RawPair& operator=(RawPair&&) = delete;

    void round_trip();

private:
    std::vector<char> buffer_;
    int socket_ = -1;
    int child_ = -1;
};

}  // namespace bench
