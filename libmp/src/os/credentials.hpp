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

// Who is one of us? The effective user of this process, or root, who may do all that we
// may. One number is special: where a user namespace maps only some users (rootless
// containers), the kernel gives 65534 for all the others, and that may be a user's own
// number as well. So the number alone is enough only for whom it comes from a relative:

/// Is `uid` ours or root's? For a process that got its end of a socket from this one's
/// family: such a one can become no user who has no number here.
bool is_relative_of_own_user_or_root(uid_t uid) noexcept;

/// The same where nothing but the number is known: false for one that may stand for
/// several. Without /proc each user is taken to have a number here.
bool is_own_user_or_root(uid_t uid);

/// Does the open file belong to that user? Of one whose number may stand for several,
/// the kernel is asked by what only the owner may do. Throws std::system_error.
bool belongs_to_own_user_or_root(int file);

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

/// Is the peer one of us? Of one whose number may stand for several, the kernel is
/// asked whether this process may signal it: it must still run then.
bool is_own_user_or_root(const Peer& peer);

}  // namespace mp::os
