// SPDX-License-Identifier: BSL-1.0
#include "os/credentials.hpp"

#include "os/check.hpp"
#include "os/file_text.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <signal.h>
#include <sys/auxv.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <cstdint>
#include <string>
#include <system_error>

namespace mp::os {
namespace {

// Two calls: another thread may add some in between, and then it is asked once more.
std::vector<gid_t> groups_of_thread() {
    for (;;) {
        const int count = check(::getgroups(0, nullptr), "getgroups");
        std::vector<gid_t> groups(static_cast<std::size_t>(count));
        const int got = ::getgroups(count, groups.data());
        if (got >= 0 && got <= count) {
            groups.resize(static_cast<std::size_t>(got));
            return groups;
        }
    }
}

// Of a user who has no number in our user namespace the kernel tells this one. No
// static of the function: a fork in another thread might leave it locked.
uid_t number_of_unknown_users() {
    static constinit std::atomic<uid_t> known{0};
    // order: relaxed, because the number carries no other data with it.
    if (const uid_t number = known.load(std::memory_order_relaxed)) {
        return number;
    }
    constexpr uid_t usual = 65534;
    const uid_t number =
        number_in_file<uid_t>("/proc/sys/kernel/overflowuid").value_or(usual);
    // order: relaxed, as above.
    known.store(number, std::memory_order_relaxed);
    return number;
}

// Has every user a number here? There is no such file where there is no /proc, and in a
// kernel without user namespaces; what cannot be read for other reasons says no.
bool all_users_are_mapped() {
    constexpr const char* map = "/proc/self/uid_map";
    if (::access(map, F_OK) != 0 &&
        last_error() == std::errc::no_such_file_or_directory) {
        return true;
    }
    const std::string text = text_of_file(map).value_or("");
    Words words(text);
    std::uint64_t all = 0;
    for (;;) {
        const auto inside = words.next_number<std::uint64_t>();
        const auto outside = words.next_number<std::uint64_t>();
        const auto count = words.next_number<std::uint64_t>();
        if (!inside || !outside || !count) {
            return all >= UINT32_MAX;  // the last number means "none"
        }
        all += *count;
    }
}

}  // namespace

bool is_relative_of_own_user_or_root(uid_t uid) noexcept {
    return uid == 0 || uid == ::geteuid();
}

bool is_own_user_or_root(uid_t uid) {
    return is_relative_of_own_user_or_root(uid) &&
           (uid != number_of_unknown_users() || all_users_are_mapped());
}

bool belongs_to_own_user_or_root(int file) {
    struct stat status {};
    check(::fstat(file, &status), "fstat");
    if (!is_relative_of_own_user_or_root(status.st_uid)) {
        return false;
    }
    if (is_own_user_or_root(status.st_uid)) {
        return true;
    }
    const int flags = check(::fcntl(file, F_GETFL), "fcntl(F_GETFL)");
    const bool owned = ::fcntl(file, F_SETFL, flags | O_NOATIME) == 0;
    ::fcntl(file, F_SETFL, flags);
    return owned;
}

bool is_own_user_or_root(const Peer& peer) {
    if (!is_relative_of_own_user_or_root(peer.user)) {
        return false;
    }
    return is_own_user_or_root(peer.user) || (peer.pid > 0 && ::kill(peer.pid, 0) == 0);
}

bool has_several_users() {
    uid_t real = 0;
    uid_t effective = 0;
    uid_t saved = 0;
    check(::getresuid(&real, &effective, &saved), "getresuid");
    gid_t real_group = 0;
    gid_t effective_group = 0;
    gid_t saved_group = 0;
    check(::getresgid(&real_group, &effective_group, &saved_group), "getresgid");
    return real != effective || effective != saved || real_group != effective_group ||
           effective_group != saved_group;
}

bool was_given_rights() noexcept {
    return ::getauxval(AT_SECURE) != 0;
}

bool gives_rights(const char* program) noexcept {
    struct stat status {};
    if (::stat(program, &status) != 0) {
        return false;  // exec will say why
    }
    // Without the right to execute, the other bit means something else.
    const bool sets_group =
        (status.st_mode & S_ISGID) != 0 && (status.st_mode & S_IXGRP) != 0;
    return ((status.st_mode & S_ISUID) != 0 && status.st_uid != ::geteuid()) ||
           (sets_group && status.st_gid != ::getegid()) ||
           ::getxattr(program, "security.capability", nullptr, 0) > 0;
}

Peer peer_of(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    check(
        ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size),
        "getsockopt(SO_PEERCRED)"
    );
    if (size != sizeof peer || peer.uid == static_cast<uid_t>(-1)) {
        throw_error(ENOTCONN, "getsockopt(SO_PEERCRED)");  // not an AF_UNIX socket
    }
    return {.pid = peer.pid, .user = peer.uid};
}

Credentials Credentials::now() {
    Credentials mine;
    auto& [real, effective, saved] = mine.users;
    check(::getresuid(&real, &effective, &saved), "getresuid");
    auto& [real_group, effective_group, saved_group] = mine.groups;
    check(::getresgid(&real_group, &effective_group, &saved_group), "getresgid");
    mine.supplementary_groups = groups_of_thread();
    __user_cap_header_struct header{.version = _LINUX_CAPABILITY_VERSION_3, .pid = 0};
    std::array<__user_cap_data_struct, 2> halves{};
    if (::syscall(SYS_capget, &header, halves.data()) == 0) {
        auto* to = mine.capabilities.data();
        for (const auto& half : halves) {
            *to++ = half.effective;
            *to++ = half.permitted;
            *to++ = half.inheritable;
        }
    }
    return mine;
}

}  // namespace mp::os
