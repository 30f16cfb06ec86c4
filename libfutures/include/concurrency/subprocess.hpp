// SPDX-License-Identifier: BSL-1.0
// Child programs: run_process and open_process.
// Python:  anyio.run_process, open_process, anyio.abc.Process; subprocess's
//          CompletedProcess and CalledProcessError.
// Differs: only listed descriptors are inherited. A child whose block is cancelled gets
//          SIGTERM, and SIGKILL after a grace; so does one whose block throws, and one
//          whose Process is destroyed. A stream that is no pipe is RuntimeError in place
//          of None. Streams of files cannot be given, their descriptors can.
// Threads: its loop's.
// Throws:  Cancelled at each wait; std::system_error, when a program cannot be started,
//          with the reason; RuntimeError outside a loop, and in another one.
// Read next: src/concurrency/processes/child_program.hpp
#pragma once

#include "concurrency/byte_streams.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/process_options.hpp"

#include <exception>
#include <functional>
#include <memory>
#include <optional>
#include <stdexcept>
#include <string>
#include <type_traits>
#include <utility>
#include <vector>

namespace concurrency {

namespace detail {

class ChildProgram;

}  // namespace detail

/// A child program that has ended, with all that it wrote.
class CompletedProcess {
public:
    /// The program and its arguments.
    const std::vector<std::string>& args() const noexcept { return args_; }

    /// Its exit code, or -N when signal N ended it; 255 when nobody can tell.
    int returncode() const noexcept { return returncode_; }

    /// What it wrote to its standard output, if that was a pipe.
    const std::string& stdout() const noexcept { return out_; }

    /// The same of its standard error.
    const std::string& stderr() const noexcept { return err_; }

    /// Throws CalledProcessError if it ended with another code than 0.
    void check_returncode() const;

    // -- For the library.

    /// Of a program that has ended.
    CompletedProcess(
        std::vector<std::string> args, int returncode, std::string out, std::string err
    ) noexcept;

private:
    std::vector<std::string> args_;
    int returncode_;
    std::string out_;
    std::string err_;
};

/// A child program ended with another code than 0.
class CalledProcessError : public std::runtime_error {
public:
    /// Of a program that has ended.
    explicit CalledProcessError(const CompletedProcess& process);

    /// How it ended, as of CompletedProcess.
    int returncode() const noexcept { return process_->returncode(); }

    /// The program and its arguments.
    const std::vector<std::string>& cmd() const noexcept { return process_->args(); }

    /// What it wrote to its standard output, if that was a pipe.
    const std::string& stdout() const noexcept { return process_->stdout(); }

    /// The same of its standard error.
    const std::string& stderr() const noexcept { return process_->stderr(); }

private:
    // Shared, so that copying the exception cannot throw.
    std::shared_ptr<const CompletedProcess> process_;
};

/// A child program that runs, or has ended. Destroyed before that, it closes its pipes
/// and sends SIGTERM; the loop sends SIGKILL after the grace, and reaps the child. When
/// the loop ends first it kills the child at once and waits for that.
class Process {
public:
    Process(Process&&) noexcept = default;
    Process& operator=(Process&& other) noexcept;
    ~Process();

    /// Its number, also when it has ended.
    pid_t pid() const noexcept;

    /// How it ended, as of CompletedProcess; nothing while it runs.
    std::optional<int> returncode() const noexcept;

    /// The pipe to its standard input. Throws RuntimeError if that is no pipe.
    ByteSendStream& stdin();

    /// The pipe from its standard output, as above.
    ByteReceiveStream& stdout();

    /// The pipe from its standard error, as above.
    ByteReceiveStream& stderr();

    /// Waits for its end and gives its returncode(); any number of tasks may. It does
    /// not wait for what the child has started, even if that holds the pipes.
    /// Cancelled, it leaves the child running.
    Task<int> wait();

    /// Sends a signal; nothing when it has ended. Throws std::system_error, if this
    /// process may not send it.
    void send_signal(int signal);

    /// Sends SIGTERM.
    void terminate();

    /// Sends SIGKILL.
    void kill();

    /// Closes the pipes and waits for its end. Cancelled, it ends the child: SIGTERM,
    /// SIGKILL after the grace; and throws when it has been reaped.
    Task<> aclose();

    // -- For the library.

    /// The child's, and null where there is no pipe.
    Process(
        std::shared_ptr<detail::ChildProgram> child,
        std::shared_ptr<detail::Descriptor> in,
        std::shared_ptr<detail::Descriptor> out,
        std::shared_ptr<detail::Descriptor> err
    );

    /// As aclose(); a child whose block has thrown is ended at once.
    Task<> leave_block(bool failed);

private:
    void close_streams() noexcept;

    std::shared_ptr<detail::ChildProgram> child_;
    std::optional<ByteSendStream> in_;
    std::optional<ByteReceiveStream> out_;
    std::optional<ByteReceiveStream> err_;
};

/// Starts a program, whose standard streams are pipes unless options say otherwise.
/// Throws ValueError for options of run_process() only.
Task<Process> open_process(Command command, ProcessOptions options = {});

/// Runs a program to its end: gives it its input and collects what it writes to its
/// pipes, until they are closed, also by what the program has started. Throws
/// CalledProcessError if it ends with another code than 0, unless that is not to be
/// checked. Cancelled, it ends the child (SIGTERM, SIGKILL after the grace), and throws
/// when it has been reaped.
Task<CompletedProcess> run_process(Command command, ProcessOptions options = {});

namespace detail {

template <class Body>
Task<typename TaskOf<Body&, Process&>::value_type>
run_with_process(Command command, ProcessOptions options, Body body) {
    using Value = typename TaskOf<Body&, Process&>::value_type;
    Process process = co_await open_process(std::move(command), std::move(options));
    std::exception_ptr error;
    std::conditional_t<std::is_void_v<Value>, bool, std::optional<Value>> value{};
    try {
        if constexpr (std::is_void_v<Value>) {
            co_await body(process);
        } else {
            value.emplace(co_await body(process));
        }
    } catch (...) {
        error = std::current_exception();
    }
    co_await process.leave_block(error != nullptr);
    if (error) {
        std::rethrow_exception(error);
    }
    if constexpr (!std::is_void_v<Value>) {
        co_return std::move(*value);
    }
}

}  // namespace detail

/// Starts a program, awaits body(process), and gives what that returns when the child
/// has ended and its pipes are closed, as aclose() does it. A body that throws, or is
/// cancelled, ends the child. Python: `async with await open_process(...) as process:`.
template <class Body>
    requires detail::CoroutineFunction < std::decay_t<Body>
&, Process& > auto open_process(Command command, ProcessOptions options, Body&& body) {
    detail::check_awaited_callable<Body>();
    return detail::run_with_process<std::decay_t<Body>>(
        std::move(command), std::move(options), std::forward<Body>(body)
    );
}

template <class Body>
    requires detail::CoroutineFunction < std::decay_t<Body>
&, Process& > auto open_process(Command command, Body&& body) {
    return open_process(std::move(command), ProcessOptions(), std::forward<Body>(body));
}

}  // namespace concurrency
