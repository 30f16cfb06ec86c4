// SPDX-License-Identifier: BSL-1.0
// SharedMemory: bytes that any process can map that knows their name.
// Python:  multiprocessing.shared_memory.SharedMemory.
// Differs: its memory is all there when the constructor returns: a full /dev/shm is an
//          exception, not SIGBUS later. Nobody sees a segment that is half made. view()
//          keeps the memory mapped, so close() never refuses. A name is removed only
//          while it belongs to this very segment. Attaching never tracks, as with
//          CPython's track=False: the end of one that attached removes nothing. What
//          another user made is attached to only if that is asked for.
// Threads: any, but close() by one while no other uses this object.
// Processes: the segment has the same bytes in all of them; CPython's segments and ours
//          are the same thing. A child that is being started gets the open segment,
//          also when its name is gone; inside any other message only the name travels.
// Owns:    a mapping and a descriptor, shared by all copies of the handle in this
//          process. Never the name: unlink() removes that, once, in any one process.
// Throws:  std::invalid_argument, std::system_error: EEXIST, ENOENT, ENOSPC and what
//          else open(2) has; ResourceLimitExceeded.
#pragma once

#include <concepts>
#include <cstddef>
#include <cstdint>
#include <functional>
#include <memory>
#include <span>
#include <stdexcept>
#include <string>
#include <tuple>
#include <utility>

namespace mp {

namespace detail {

/// A number of bytes as callers write it: any integer type; a negative one is refused.
class ByteCount {
public:
    constexpr ByteCount() = default;

    template <std::integral Int>
    constexpr ByteCount(Int count)  // NOLINT(google-explicit-constructor): a number
        : count_(static_cast<std::size_t>(count)) {
        if constexpr (std::signed_integral<Int>) {
            if (count < 0) {
                throw std::invalid_argument("a size of shared memory is negative");
            }
        }
    }

    constexpr std::size_t get() const noexcept { return count_; }

private:
    std::size_t count_ = 0;
};

}  // namespace detail

struct SharedMemoryOptions {
    /// With or without a leading slash. Empty with `create`: a random one, "psm_" and
    /// eight hexadecimal digits.
    std::string name = {};
    /// Make it; otherwise attach to what exists.
    bool create = false;
    /// Of a new segment, at least 1; ignored when attaching.
    detail::ByteCount size = {};
    /// Of a new segment: the resource tracker removes it if this process is killed, or
    /// the last of its family ends without unlink(). Ignored when attaching: a
    /// process that attaches owns nothing.
    bool track = true;
    /// Attach also to what belongs to another user than this process's effective one
    /// and root. Who owns the memory can write what it likes, shrink it at any time,
    /// which is SIGBUS for those who touch it then, and unlink it. Ignored with
    /// `create`.
    bool any_user = false;
};

class SharedMemory {
public:
    /// Closed; something to assign to.
    SharedMemory() noexcept = default;

    /// Creates or attaches. Python's errors: std::invalid_argument (ValueError) for a
    /// size of 0, no name to attach to, an embedded NUL in the name, or a segment of
    /// no size, whose maker is not done, or that is being truncated;
    /// std::system_error with EEXIST (FileExistsError), ENOENT (FileNotFoundError),
    /// EACCES (PermissionError), also for another user's, or ENOSPC. The first tracked
    /// one starts the resource tracker, or throws SpawnError.
    explicit SharedMemory(const SharedMemoryOptions& options);

    /// C++ only. Creates, and calls `fill` for the memory before anybody can find it.
    SharedMemory(
        const SharedMemoryOptions& options,
        const std::function<void(std::span<std::byte>)>& fill
    );

    /// Without the leading slash; still known after close().
    const std::string& name() const;

    /// In bytes; still known after close().
    std::size_t size() const noexcept;

    /// The bytes, writable; none after close(). A span does not keep them: see view().
    std::span<std::byte> buf() const noexcept;

    /// C++ only. The bytes, mapped until the last copy of what this returns is gone,
    /// also after close().
    std::shared_ptr<std::byte[]> view() const noexcept;

    /// Lets go of the memory for all copies of this handle in this process. Again does
    /// nothing. The segment stays, under its name.
    void close() noexcept;

    /// Removes the name; a process that has the memory keeps it. Throws
    /// std::system_error(ENOENT) when it was removed before, in any process, EPERM for
    /// memory of another user. What this process made and has no right to remove any
    /// more, the resource tracker removes for it.
    void unlink();

    /// Whether it is open.
    explicit operator bool() const noexcept;

    /// A child that is being started shares the open segment; any other reader attaches
    /// by name, and gets std::system_error: ENOENT when that is gone, EACCES when it is
    /// another user's. One that has been truncated since is std::invalid_argument.
    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        std::string name;
        std::uint64_t bytes = 0;
        std::int64_t travelling = -1;
        if constexpr (Archive::is_saving::value) {
            std::tie(name, bytes, travelling) = hand_over();
            archive& name& bytes& travelling;
        } else {
            archive& name& bytes& travelling;
            take_over(std::move(name), bytes, travelling);
        }
    }

private:
    struct State;

    std::tuple<std::string, std::uint64_t, std::int64_t> hand_over() const;
    void take_over(std::string name, std::uint64_t bytes, std::int64_t travelling);

    std::shared_ptr<State> state_;
};

}  // namespace mp
