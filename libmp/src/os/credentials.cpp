// SPDX-License-Identifier: BSL-1.0
#include "os/credentials.hpp"

#include "os/check.hpp"

#include <linux/capability.h>
#include <sys/syscall.h>
#include <unistd.h>

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

}  // namespace

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
