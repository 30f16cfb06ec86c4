// SPDX-License-Identifier: BSL-1.0
// What a child program is, and what it finds when it starts.
// Python:  the arguments of anyio.run_process and open_process.
// Differs: options are set by name: ProcessOptions().cwd("/tmp").check(false). A command
//          is one word for a shell line, or the list of the program and its arguments.
//          Users and groups are numbers. There is a grace for a child that is to end.
// Threads: any; they are values.
// Throws:  ValueError for what makes no sense.
#pragma once

#include "concurrency/clock.hpp"

#include <sys/types.h>

#include <initializer_list>
#include <map>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace concurrency {

/// What is to be run: a line for /bin/sh, or a program, found by PATH, with its
/// arguments.
class Command {
public:
    /// A line for the shell.
    // A command is written as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor)
    Command(std::string shell_line);
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    Command(const char* shell_line) : Command(std::string(shell_line)) {}

    /// A program and its arguments. Throws ValueError if there is no program.
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    Command(std::vector<std::string> arguments);
    Command(std::initializer_list<std::string> arguments)
        : Command(std::vector<std::string>(arguments)) {}

    /// The program, or the shell, and its arguments.
    const std::vector<std::string>& arguments() const noexcept { return arguments_; }

private:
    std::vector<std::string> arguments_;
};

/// What one of the standard streams of a child is: a pipe to this process (PIPE),
/// /dev/null (DEVNULL), the stream of this process (std::nullopt, Python's None), the
/// same as standard output (STDOUT, for standard error), or an open file.
class Stdio {
public:
    /// The kinds.
    enum class Kind {
        pipe,       ///< PIPE
        null,       ///< DEVNULL
        inherited,  ///< that of this process
        output,     ///< STDOUT
        file,       ///< a descriptor
    };

    constexpr explicit Stdio(Kind kind) noexcept : kind_(kind) {}

    /// That of this process.
    // A stream is written as what it is.
    // NOLINTNEXTLINE(google-explicit-constructor)
    constexpr Stdio(std::nullopt_t) noexcept : kind_(Kind::inherited) {}

    /// A descriptor, which stays the caller's, open until the child has been started.
    // NOLINTNEXTLINE(google-explicit-constructor): as above
    constexpr Stdio(int file) noexcept : kind_(Kind::file), file_(file) {}

    /// Which kind it is.
    constexpr Kind kind() const noexcept { return kind_; }

    /// Of a Kind::file.
    constexpr int file() const noexcept { return file_; }

private:
    Kind kind_;
    int file_ = -1;
};

/// A pipe to this process.
inline constexpr Stdio PIPE{Stdio::Kind::pipe};
/// /dev/null.
inline constexpr Stdio DEVNULL{Stdio::Kind::null};
/// Where the child's standard output goes; for its standard error.
inline constexpr Stdio STDOUT{Stdio::Kind::output};

/// How a child program is run; each function sets one thing and gives the object back.
class ProcessOptions {
public:
    /// What the child reads from its standard input. run_process() only; throws
    /// ValueError there if stdin() is set as well.
    ProcessOptions& input(std::string bytes) {
        values_.input = std::move(bytes);
        return *this;
    }

    /// Whether run_process() throws CalledProcessError if the child ends with another
    /// code than 0; it does, unless it is told not to.
    ProcessOptions& check(bool checked) noexcept {
        values_.check = checked;
        return *this;
    }

    /// A pipe of open_process(), that of this process for run_process(), unless it is
    /// set.
    ProcessOptions& stdin(Stdio stream) noexcept {
        values_.in = stream;
        return *this;
    }

    /// A pipe, unless it is set.
    ProcessOptions& stdout(Stdio stream) noexcept {
        values_.out = stream;
        return *this;
    }

    /// A pipe, unless it is set.
    ProcessOptions& stderr(Stdio stream) noexcept {
        values_.err = stream;
        return *this;
    }

    /// The folder in which the child starts.
    ProcessOptions& cwd(std::string directory) {
        values_.cwd = std::move(directory);
        return *this;
    }

    /// The child's environment, in place of this process's. The program is found by its
    /// PATH.
    ProcessOptions& env(std::map<std::string, std::string> variables) {
        values_.env = std::move(variables);
        return *this;
    }

    /// Whether the child gets a session of its own.
    ProcessOptions& start_new_session(bool is_new) noexcept {
        values_.start_new_session = is_new;
        return *this;
    }

    /// Descriptors that the child inherits, under their numbers, besides the standard
    /// streams; no others are.
    ProcessOptions& pass_fds(std::vector<int> descriptors) {
        values_.pass_fds = std::move(descriptors);
        return *this;
    }

    /// The child's user, group, further groups and mask of file modes.
    ProcessOptions& user(uid_t id) noexcept {
        values_.user = id;
        return *this;
    }

    /// The child's group.
    ProcessOptions& group(gid_t id) noexcept {
        values_.group = id;
        return *this;
    }

    /// Its further groups.
    ProcessOptions& extra_groups(std::vector<gid_t> ids) {
        values_.extra_groups = std::move(ids);
        return *this;
    }

    /// Its mask of file modes.
    ProcessOptions& umask(mode_t mask) noexcept {
        values_.umask = mask;
        return *this;
    }

    /// How long a child that was sent SIGTERM, because its block is cancelled, may take
    /// before SIGKILL; 5 seconds, unless it is set.
    ProcessOptions& grace(Delay time) noexcept {
        values_.grace = time.seconds();
        return *this;
    }

    // -- For the library.

    /// What was set.
    struct Values {
        std::optional<std::string> input{};  ///< as its setter says
        bool check = true;                   ///< as its setter says
        std::optional<Stdio> in{};           ///< as its setter says
        Stdio out = PIPE;                    ///< as its setter says
        Stdio err = PIPE;                    ///< as its setter says
        std::string cwd{};                   ///< as its setter says
        std::optional<std::map<std::string, std::string>>
            env{};                                         ///< as its setter says
        bool start_new_session = false;                    ///< as its setter says
        std::vector<int> pass_fds{};                       ///< as its setter says
        std::optional<uid_t> user{};                       ///< as its setter says
        std::optional<gid_t> group{};                      ///< as its setter says
        std::optional<std::vector<gid_t>> extra_groups{};  ///< as its setter says
        std::optional<mode_t> umask{};                     ///< as its setter says
        double grace = 5;                                  ///< as its setter says
    };

    /// All of it.
    const Values& values() const noexcept { return values_; }

private:
    Values values_;
};

}  // namespace concurrency
