// SPDX-License-Identifier: BSL-1.0
// Credentials: the user that a process acts as. A helper process has those with which
// it was started, for ever; the process that uses it may have given up some since.
#pragma once

#include <sys/types.h>

#include <array>
#include <cstdint>
#include <vector>

namespace mp::os {

/// The calling thread's: real, effective and saved ids, groups and capabilities.
struct Credentials {
    /// Throws std::system_error.
    static Credentials now();

    bool operator==(const Credentials&) const = default;

    std::array<uid_t, 3> users{};
    std::array<gid_t, 3> groups{};
    std::vector<gid_t> supplementary_groups;
    /// Effective, permitted and inheritable, in two halves, as the kernel gives them;
    /// none where it may not be asked.
    std::array<std::uint32_t, 6> capabilities{};
};

/// Whether `uid` is this process's effective user, or root. A number that stands for
/// all users whom this user namespace does not know is nobody's: false.
bool is_own_user_or_root(uid_t uid) noexcept;

/// The process at the other end of a Unix-domain socket, as it was when it connected or
/// began to listen.
struct SocketPeer {
    pid_t pid = 0;
    uid_t uid = 0;
};

/// Throws std::system_error.
SocketPeer peer_of(int socket);

}  // namespace mp::os
