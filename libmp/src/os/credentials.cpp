// SPDX-License-Identifier: BSL-1.0
#include "os/credentials.hpp"

#include "mp/fd.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <linux/capability.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <cstring>
#include <limits>

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

// What the kernel gives for a user whom this namespace does not know.
constexpr uid_t overflow_uid = 65534;

// Whether every user of the machine has a number here: there is one line, or several,
// of "first here, first outside, how many".
bool all_users_are_known() noexcept {
    const UniqueFd file =
        try_new_fd([] { return ::open("/proc/self/uid_map", O_RDONLY | O_CLOEXEC); });
    std::array<char, 4096> text{};
    const auto size =
        restarting([&] { return ::read(file.get(), text.data(), text.size() - 1); });
    if (size <= 0) {
        return false;
    }
    std::uint64_t known = 0;
    for (const char* at = text.data(); *at != '\0';) {
        std::uint64_t count = 0;
        for (int column = 0; column < 3; ++column) {
            char* end = nullptr;
            count = std::strtoull(at, &end, 10);
            if (end == at) {
                return false;
            }
            at = end;
        }
        known += count;
        at += std::strspn(at, " \n");
    }
    // The highest number is no user.
    return known >= std::numeric_limits<std::uint32_t>::max();
}

}  // namespace

bool is_own_user_or_root(uid_t uid) noexcept {
    if (uid == overflow_uid && !all_users_are_known()) {
        return false;
    }
    return uid == 0 || uid == ::geteuid();
}

SocketPeer peer_of(int socket) {
    ucred peer{};
    socklen_t size = sizeof peer;
    check(
        ::getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &peer, &size),
        "getsockopt(SO_PEERCRED)"
    );
    return {.pid = peer.pid, .uid = peer.uid};
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
