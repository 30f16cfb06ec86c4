// SPDX-License-Identifier: BSL-1.0
// The exceptions of libmp, under Python's names.
// Python:  multiprocessing.context (ProcessError and its children), queue.Empty,
//          queue.Full, queue.ShutDown, EOFError, threading.BrokenBarrierError,
//          SystemExit.
// Differs: ValueError is std::invalid_argument, OSError is std::system_error;
//          StateError stands for AssertionError and for "process object is closed".
// Threads: any; they are values.
#pragma once

#include "mp/detail/platform.hpp"

#include <cstddef>
#include <stdexcept>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mp {

/// The object is in the wrong state for this call (start() twice, join() before
/// start(), anything after close()). Python raises AssertionError for some of these
/// states and ValueError for others; it is a std::invalid_argument so that both habits
/// catch it.
struct StateError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// The base of the errors that concern other processes.
struct ProcessError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// A message does not fit the buffer that recv_bytes_into() was given. It is consumed;
/// here it is.
struct BufferTooShort : ProcessError {
    /// For recv_bytes_into(): the whole message.
    explicit BufferTooShort(std::vector<std::byte> received)
        : ProcessError(
              "the message is longer than the buffer: " +
              std::to_string(received.size()) + " bytes"
          ),
          message(std::move(received)) {}

    /// The whole message, which did not fit.
    std::vector<std::byte> message;
};

/// What was waited for did not happen in time.
struct TimeoutError : ProcessError {
    using ProcessError::ProcessError;
};

/// The other side of a connection does not hold our key, or we do not hold its.
struct AuthenticationError : ProcessError {
    using ProcessError::ProcessError;
};

/// At which step starting a process failed.
enum class SpawnStage {
    arguments,   ///< target or arguments cannot travel to another program
    os,          ///< a system call failed (fork, pidfd_open, socketpair)
    exec,        ///< the program could not be executed
    handshake,   ///< the child ended before it said that it runs
    timeout,     ///< the child did not answer in time; it was killed
    forkserver,  ///< the fork server is gone or refuses
};

/// A process could not be started.
struct SpawnError : ProcessError {
    /// The step, and what failed there.
    SpawnError(SpawnStage at, const std::string& what)
        : ProcessError(what), stage(at) {}

    /// The step at which it failed.
    SpawnStage stage;
};

/// Two processes run different programs, so a code reference of one means nothing in
/// the other.
struct BinaryMismatch : ProcessError {
    using ProcessError::ProcessError;
};

/// What was being done when bytes and values did not agree.
enum class SerializationPhase {
    encode,         ///< a value into bytes
    decode,         ///< bytes into a value
    encode_task,    ///< a pool's call, by the process that submits it
    decode_task,    ///< a pool's call, by the worker
    encode_result,  ///< what a call returned, by the worker
    decode_result,  ///< what a call returned, by the process that asks for it
};

/// A value could not be made into bytes, or bytes into a value.
struct SerializationError : ProcessError {
    /// During what, and why.
    SerializationError(SerializationPhase during, const std::string& what)
        : ProcessError(what), phase(during) {}

    /// During what it happened.
    SerializationPhase phase;
};

/// The memory that an object shares between processes (a queue, a lock, a semaphore …)
/// says what it cannot say: a process has written where it should not. The object is of
/// no more use, in any process; nothing else is concerned.
struct DamagedError : ProcessError {
    using ProcessError::ProcessError;
};

/// get() found nothing, at once or in time.
struct Empty : std::runtime_error {
    Empty() : std::runtime_error("the queue is empty") {}
};

/// put() found no room, at once or in time.
struct Full : std::runtime_error {
    Full() : std::runtime_error("the queue is full") {}
};

/// The queue was shut down: put() is refused, and get() has nothing left.
struct ShutDown : std::runtime_error {
    ShutDown() : std::runtime_error("the queue is shut down") {}
};

/// Nothing left to read, and every writer is gone.
struct EOFError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The process that held this died inside; what it protected may be half-changed.
struct OwnerDied : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// An exception of another process whose type this one cannot rebuild; or, as the
/// nested cause of a rebuilt one, the text of the place it was thrown at.
struct RemoteError : std::runtime_error {
    /// The name of the type that was thrown, and its text.
    RemoteError(std::string type, const std::string& what)
        : std::runtime_error(what), type_name(std::move(type)) {}

    /// The name of the type that was thrown.
    std::string type_name;
};

/// A Barrier is broken or was reset while threads waited, or they waited too long.
struct BrokenBarrierError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Python's name for a result that cannot travel, for ported programs.
struct MaybeEncodingError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// The process or the machine has no more of something; the text says of what, and
/// which option helps.
struct ResourceLimitExceeded : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Ends a process with a status, as sys.exit() does: throw it in a Process's target. In
/// a pool's task it reaches the task's future instead. It is no std::exception, so that
/// a `catch (const std::exception&)` on the way does not stop it.
class SystemExit {
public:
    SystemExit() = default;

    explicit SystemExit(int code) : code_(code) {}

    explicit SystemExit(bool failed) : code_(failed ? 1 : 0) {}

    /// The text goes to stderr, the status is 1.
    explicit SystemExit(std::string text) : code_(1), text_(std::move(text)) {}

    explicit SystemExit(const char* text) : SystemExit(std::string(text)) {}

    /// As given; the exit status is its lowest byte.
    int code() const noexcept { return code_; }

    /// The text for stderr, if there is one.
    const std::string& text() const noexcept { return text_; }

private:
    int code_ = 0;
    std::string text_;
};

}  // namespace mp
