// SPDX-License-Identifier: BSL-1.0
// spawning: is this thread serialising for a child that is being started, and which
// descriptors travel with it?
// Python:  multiprocessing.context.get_spawning_popen, reduction.DupFd.
// Differs: descriptors are numbered in the order they are handed over; the child takes
//          each one once.
// Threads: the list belongs to the thread that starts the child.
// Owns:    duplicates of the descriptors until they are sent, and those received until
//          they are taken.
#pragma once

#include "mp/detail/fd_list.hpp"
#include "mp/fd.hpp"

#include <cstdint>
#include <utility>
#include <vector>

namespace mp::detail {

/// Collects descriptors for one child while it lives.
class SpawningScope {
public:
    SpawningScope();
    ~SpawningScope();
    SpawningScope(const SpawningScope&) = delete;
    SpawningScope& operator=(const SpawningScope&) = delete;

    std::uint32_t add(UniqueFd fd) { return fds_.add(std::move(fd)); }

    /// As add(), but a descriptor with a key seen before is not sent again: the index
    /// it has already.
    std::uint32_t add_once(const void* key, int fd);

    /// What was collected; the scope collects no more.
    std::vector<UniqueFd> take() noexcept { return fds_.release(); }

private:
    SpawningScope* outer_;
    FdList fds_;
    std::vector<std::pair<const void*, std::uint32_t>> keys_;
};

/// True while this thread serialises for a child that is being started.
bool spawning() noexcept;

/// Duplicates `fd` into the list that travels with the child; returns its index there.
/// Throws StateError when no child is being started: "what" names the object for the
/// text.
std::uint32_t hand_over(int fd, const char* what = "this object");

/// The same for a descriptor that several objects share: it travels once. `key` is the
/// address of what they share.
std::uint32_t hand_over_once(const void* key, int fd, const char* what);

/// In the child: the descriptor with that index. Throws SerializationError when there
/// is none or it was taken before.
UniqueFd take_over(std::uint32_t index);

/// In the child, before anything is decoded.
void set_received_fds(std::vector<UniqueFd> fds);

}  // namespace mp::detail
