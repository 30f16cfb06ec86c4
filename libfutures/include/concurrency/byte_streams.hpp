// SPDX-License-Identifier: BSL-1.0
// ByteReceiveStream and ByteSendStream: the two ends of a pipe, as a task uses them.
// Python:  anyio.abc.ByteReceiveStream, ByteSendStream.
// Differs: bytes are a std::string; close() is a plain function, since it never waits.
// Threads: their loop's.
// Throws:  Cancelled at each wait; ClosedResourceError, when this end is closed, before
//          or meanwhile; BusyResourceError, when another task waits in the same call.
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/closed.hpp"

#include <cstddef>
#include <memory>
#include <string>

namespace concurrency {

namespace detail {

class Descriptor;

}  // namespace detail

/// What comes out of a pipe. A handle: copies are the same stream.
class ByteReceiveStream {
public:
    /// Waits until something is there, and gives at most so many bytes of it, at least
    /// one. Throws EndOfStream when all writers are gone and everything is read, and
    /// ValueError for less than 1. A task that is cancelled has taken nothing.
    Task<std::string> receive(std::ptrdiff_t max_bytes = 65536);

    /// Closes this end; a task that waits in receive() gets ClosedResourceError.
    /// Closing it again does nothing.
    void close() noexcept;

    /// close() by the name that AnyIO has for it where it is awaited.
    detail::Closed aclose() noexcept {
        close();
        return {};
    }

    // -- For the library.

    explicit ByteReceiveStream(std::shared_ptr<detail::Descriptor> descriptor) noexcept;

private:
    std::shared_ptr<detail::Descriptor> descriptor_;
};

/// What goes into a pipe. A handle: copies are the same stream.
class ByteSendStream {
public:
    /// Waits until the pipe has taken all of it. Throws BrokenResourceError when nobody
    /// reads any more. A task that is cancelled may have sent a part of it.
    Task<> send(std::string data);

    /// Closes this end: the reader comes to the end of the stream. A task that waits in
    /// send() gets ClosedResourceError. Closing it again does nothing.
    void close() noexcept;

    /// close() by the name that AnyIO has for it where it is awaited.
    detail::Closed aclose() noexcept {
        close();
        return {};
    }

    // -- For the library.

    explicit ByteSendStream(std::shared_ptr<detail::Descriptor> descriptor) noexcept;

private:
    std::shared_ptr<detail::Descriptor> descriptor_;
};

}  // namespace concurrency
