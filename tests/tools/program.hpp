// SPDX-License-Identifier: BSL-1.0
// Program: runs another program, keeps what it writes, and can look at its children.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <optional>
#include <string>
#include <vector>

namespace tools_test {

struct ProgramOptions {
    std::string input{};                         ///< what it reads from standard input
    std::string directory{};                     ///< where it runs; here if empty
    std::optional<int> out{};                    ///< its standard output, if not kept
    bool out_closed = false;                     ///< it starts without standard output
    std::vector<std::string> set_environment{};  ///< "NAME=value"
};

struct Finished {
    int status = 0;  ///< the exit status, or -N when signal N ended it
    std::string out;
    std::string err;
};

class Program {
public:
    /// Starts it in a process group of its own, found by PATH. Throws when it cannot.
    explicit Program(std::vector<std::string> arguments, ProgramOptions options = {});

    /// Kills what still runs.
    ~Program();
    Program(Program&&) = delete;
    Program& operator=(Program&&) = delete;

    pid_t pid() const { return pid_; }

    /// Waits for its end; nothing when that does not come in time.
    std::optional<Finished> wait(mp::Timeout timeout);

private:
    pid_t pid_ = -1;
    mp::UniqueFd pidfd_;
    mp::UniqueFd out_;
    mp::UniqueFd err_;
    bool reaped_ = false;
};

/// Runs it to its end; a run of more than a minute is an exception.
Finished run(std::vector<std::string> arguments, ProgramOptions options = {});

/// All processes below `pid` that have not ended.
std::vector<pid_t> descendants(pid_t pid);

/// True when the process exists and is no zombie.
bool is_running(pid_t pid);

/// Waits until a process below `pid`, and none of `except`, has `path` open.
std::optional<pid_t> wait_for_reader(
    pid_t pid,
    const std::string& path,
    mp::Timeout timeout,
    const std::vector<pid_t>& except = {}
);

/// Waits until `pid` itself, and not this process's copy before it, has `path` open.
bool wait_for_open(pid_t pid, const std::string& path, mp::Timeout timeout);

/// Waits until the pipe is so full that the next write blocks.
bool wait_for_full_pipe(int write_end, mp::Timeout timeout);

std::string read_to_end(int fd);

/// Waits until none of them runs.
bool wait_for_end(const std::vector<pid_t>& pids, mp::Timeout timeout);

}  // namespace tools_test
