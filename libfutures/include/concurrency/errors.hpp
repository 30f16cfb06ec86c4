// SPDX-License-Identifier: BSL-1.0
// The exceptions of structured concurrency: cancellation, groups of errors, and what is
// refused.
// Python:  anyio.get_cancelled_exc_class(), ExceptionGroup, BaseExceptionGroup,
//          RuntimeError, ValueError, LookupError, TimeoutError, WouldBlock, QueueEmpty,
//          QueueFull, ClosedResourceError, BrokenResourceError, EndOfStream,
//          BusyResourceError;
//          lionpride.libs.concurrency.is_cancelled, split_cancellation and
//          non_cancel_subgroup.
// Differs: exceptions in a group are std::exception_ptr. Cancelled and
//          BaseExceptionGroup are no std::exception, as Python's are no Exception.
//          Cancelled is not futures::CancelledError, which is about a future.
// Threads: any; they are values.
// Read next: src/concurrency/errors/exception_group.cpp
#pragma once

#include "futures/errors.hpp"

#include <exception>
#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

namespace concurrency {

/// What a block that has a time limit throws when that ends it. The same type as that
/// of the futures.
using futures::TimeoutError;

/// The object, the task or the loop is in a state that forbids the call: a scope that
/// is entered twice, a lock that another task holds, a loop where there is none.
struct RuntimeError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// An argument that makes no sense: a time that is not a number, a negative size.
struct ValueError : std::invalid_argument {
    using std::invalid_argument::invalid_argument;
};

/// There is no value for what was asked: a variable that was never set. Python:
/// LookupError.
struct LookupError : std::out_of_range {
    using std::out_of_range::out_of_range;
};

/// A call that never waits would have had to: nobody has set free what it asks for.
/// Python: anyio.WouldBlock.
struct WouldBlock : std::runtime_error {
    using std::runtime_error::runtime_error;
    WouldBlock() : std::runtime_error("the call would have to wait") {}
};

/// A WouldBlock of a queue: nothing is in it. Python: asyncio.QueueEmpty.
struct QueueEmpty : WouldBlock {
    QueueEmpty() : WouldBlock("the queue is empty") {}
};

/// A WouldBlock of a queue: it holds as many items as it may. Python:
/// asyncio.QueueFull.
struct QueueFull : WouldBlock {
    QueueFull() : WouldBlock("the queue is full") {}
};

/// This end was closed before. Python: anyio.ClosedResourceError.
struct ClosedResourceError : std::runtime_error {
    using std::runtime_error::runtime_error;
    ClosedResourceError() : std::runtime_error("it has been closed") {}
};

/// The other end is gone, so that what was asked for can never be done. Python:
/// anyio.BrokenResourceError.
struct BrokenResourceError : std::runtime_error {
    using std::runtime_error::runtime_error;
    BrokenResourceError() : std::runtime_error("the other end has been closed") {}
};

/// The other end is closed and everything that came from it has been read. Python:
/// anyio.EndOfStream.
struct EndOfStream : std::runtime_error {
    EndOfStream() : std::runtime_error("the end of the stream") {}
};

/// Another task uses it, and one at a time may. Python: anyio.BusyResourceError.
struct BusyResourceError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

/// Thrown at each checkpoint of a task while a scope that it can see is cancelled, and
/// absorbed by that scope. Code that catches it to clean up throws it on. It is no
/// std::exception, so that a `catch (const std::exception&)` on the way does not stop
/// it.
class Cancelled {
public:
    Cancelled() noexcept = default;

    /// With a text that says why. Throws std::bad_alloc.
    explicit Cancelled(std::string reason);

    /// What cancel() was told, "deadline exceeded" of a time limit, or empty.
    const std::string& reason() const noexcept;

private:
    // Shared, so that copying the exception cannot throw.
    std::shared_ptr<const std::string> reason_;
};

/// Several exceptions that were thrown beside one another, and may be groups
/// themselves. A group whose members are all std::exception is an ExceptionGroup; one
/// that has anything else in it, Cancelled for one, is this base alone, and no
/// std::exception.
class BaseExceptionGroup {
public:
    /// Throws ValueError without exceptions, or with one that is null.
    BaseExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);

    BaseExceptionGroup(const BaseExceptionGroup&) = default;
    BaseExceptionGroup& operator=(const BaseExceptionGroup&) = default;
    virtual ~BaseExceptionGroup() = default;

    /// What the group was given as its text.
    const std::string& message() const noexcept;

    /// Its members, in the order in which they were thrown; at least one.
    const std::vector<std::exception_ptr>& exceptions() const noexcept;

protected:
    /// The message and how many members there are: "errors (2 sub-exceptions)".
    const std::string& summary() const noexcept;

private:
    struct Content;

    // Shared, so that copying the exception cannot throw.
    std::shared_ptr<const Content> content_;
};

/// A group of errors only; task groups and the patterns throw it even for a single one.
class ExceptionGroup : public BaseExceptionGroup, public std::exception {
public:
    /// Throws ValueError without exceptions, or with one that is no std::exception or
    /// ExceptionGroup (Python's TypeError).
    ExceptionGroup(std::string message, std::vector<std::exception_ptr> exceptions);

    /// The message and how many members there are: "errors (2 sub-exceptions)".
    const char* what() const noexcept override { return summary().c_str(); }
};

/// Whether this is Cancelled itself, and not a group that contains one.
bool is_cancelled(const std::exception_ptr& exception) noexcept;

/// Splits an exception, or the tree of a group, into (what is cancellation, all else).
/// The tree keeps its shape on both sides, and its leaves are the same exceptions; a
/// side without any is null.
std::pair<std::exception_ptr, std::exception_ptr>
split_cancellation(const std::exception_ptr& exception);

/// What is left of an exception, or of a group, without cancellations: the second half
/// of split_cancellation(). Null when there is nothing else.
std::exception_ptr non_cancel_subgroup(const std::exception_ptr& exception);

namespace detail {

/// The group of these: an ExceptionGroup where it can be one, else its base.
std::exception_ptr
make_group(const std::string& message, std::vector<std::exception_ptr> exceptions);

}  // namespace detail

/// The group of these, to be rethrown: an ExceptionGroup where it can be one, else its
/// base. Throws ValueError as they do.
using detail::make_group;

}  // namespace concurrency
