// SPDX-License-Identifier: BSL-1.0
// Credentials: the user that a process acts as, and the one that a peer acts as. A
// helper process has those with which it was started, for ever; the process that uses
// it may have given up some since.
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

/// Is `uid`, as the kernel tells it of a peer or of a file, the effective user of this
/// process? False for the number that stands for all users who have none here (65534,
/// where a user namespace maps only some): it is no identity.
bool is_own_user(uid_t uid);

/// The same, or root, who may do all that we may.
bool is_own_user_or_root(uid_t uid);

/// The same of a process that got its end of a socket from this one's family: such a
/// one can become no user who has no number here, so the number is enough.
bool is_relative_of_own_user_or_root(uid_t uid) noexcept;

/// Has this process, by its real, effective and saved ids, more than one user or group?
bool has_several_users();

/// Did exec give this process rights that the caller of exec did not have: by a
/// set-user-id or set-group-id bit, by capabilities of the file, or by a change of its
/// security domain (SELinux, AppArmor) (AT_SECURE)?
bool was_given_rights() noexcept;

/// Would exec of this file give rights that this process has not: another user or group
/// than the effective ones, or capabilities?
bool gives_rights(const char* program) noexcept;

/// The process that made an AF_UNIX socket pair, or called connect() or listen().
struct Peer {
    pid_t pid = 0;  ///< 0 for one outside of our pid namespace
    uid_t user = 0;
};

/// As the kernel noted it (SO_PEERCRED). Throws std::system_error, for what is no
/// socket, too.
Peer peer_of(int socket);

}  // namespace mp::os
