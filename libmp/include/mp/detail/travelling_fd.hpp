// SPDX-License-Identifier: BSL-1.0
// travelling_fd: how a descriptor inside an object gets into another process.
// Python:  multiprocessing.reduction.DupFd, multiprocessing.resource_sharer.
// Differs: no server thread: the descriptor goes with the message itself (SCM_RIGHTS),
//          or in the list of a child that is being started.
// Threads: a scope belongs to the thread that made it.
// Owns:    duplicates on the way out, what came and was not taken on the way in.
#pragma once

#include "mp/detail/carried.hpp"
#include "mp/detail/fd_list.hpp"
#include "mp/fd.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace mp::detail {

/// While it lives, descriptors saved by this thread go with one message.
class OutgoingFds {
public:
    /// Without `allowed`, saving one throws: the message goes over something that
    /// carries no descriptors.
    explicit OutgoingFds(bool allowed) noexcept;
    ~OutgoingFds();
    OutgoingFds(const OutgoingFds&) = delete;
    OutgoingFds& operator=(const OutgoingFds&) = delete;

    const std::vector<UniqueFd>& fds() const noexcept { return fds_.all(); }

private:
    friend std::uint32_t save_fd(const TravelKey& key, int fd, const char* what);

    OutgoingFds* outer_;
    bool allowed_;
    FdList fds_;
};

/// While it lives, descriptors loaded by this thread are those that came with one
/// message.
class IncomingFds {
public:
    IncomingFds() noexcept;
    ~IncomingFds();
    IncomingFds(const IncomingFds&) = delete;
    IncomingFds& operator=(const IncomingFds&) = delete;

    void add(std::vector<UniqueFd> fds) { fds_.append(std::move(fds)); }

private:
    friend UniqueFd load_fd(std::uint32_t number);

    IncomingFds* outer_;
    FdList fds_;
};

/// Sends a duplicate of `fd` along; returns the number by which load_fd() finds it.
/// `key` is what it belongs to, `what` names the object for the error. Throws
/// StateError when nothing is being sent that can carry it.
std::uint32_t save_fd(const TravelKey& key, int fd, const char* what);

/// Each once. Throws SerializationError when it did not come or was taken before.
UniqueFd load_fd(std::uint32_t number);

}  // namespace mp::detail
