// SPDX-License-Identifier: BSL-1.0
// Program: runs another program in a process group of its own, and keeps what it
// writes.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace test {

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
    /// Starts it in a process group of its own, found by PATH, without any descriptor
    /// but the standard ones. Throws when it cannot.
    explicit Program(std::vector<std::string> arguments, ProgramOptions options = {});

    /// Kills what still runs.
    ~Program();
    Program(Program&&) = delete;
    Program& operator=(Program&&) = delete;

    pid_t pid() const { return pid_; }

    /// Waits for its end; nothing when that does not come in time.
    std::optional<Finished> wait(mp::Timeout timeout);

private:
    struct Running;

    mp::UniqueFd out_;
    mp::UniqueFd err_;
    std::unique_ptr<Running> running_;
    pid_t pid_ = -1;
};

/// Runs it to its end; a run of more than a minute is an exception.
Finished run(std::vector<std::string> arguments, ProgramOptions options = {});

}  // namespace test
