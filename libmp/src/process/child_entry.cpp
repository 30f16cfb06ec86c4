// SPDX-License-Identifier: BSL-1.0
// The checks at the door: before a child or a helper reads its first byte.
#include "process/child_entry.hpp"

#include "os/credentials.hpp"
#include "os/pidfd.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <system_error>

namespace mp::detail {
namespace {

[[noreturn]] void refuse(const char* why) noexcept {
    std::fprintf(stderr, "libmp: this process is no child of its caller: %s\n", why);
    ::_exit(1);
}

// It was killed, or left, while we began: there is nothing to do, and nobody to tell.
// What has not been reaped still has its process id.
bool is_gone(pid_t pid) {
    try {
        return pid > 0 && pid != ::getppid() &&
               os::pidfd_ended(os::pidfd_open(pid).get());
    } catch (const std::system_error& error) {
        return error.code() == std::errc::no_such_process;
    }
}

}  // namespace

bool may_be_child() noexcept {
    try {
        return !os::was_given_rights() && !os::has_several_users();
    } catch (const std::exception&) {
        return false;
    }
}

void leave_unless_may_be_child() noexcept {
    if (!may_be_child()) {
        refuse("it has rights that its caller has not (set-user-id, set-group-id, "
               "capabilities of the file, or a change of its security domain by exec), "
               "so nobody tells it what to run");
    }
}

// The kernel noted who made the pair of sockets. The number of an unknown user needs no
// special care here: the process id is that of our parent, and exec gave us nothing
// that the parent had not.
// A sandbox may name the process that asks, and not the maker (gVisor). Who made the
// pair itself and became this program by exec has gained nothing by that, either.
void leave_unless_child_of(int socket) noexcept {
    leave_unless_may_be_child();
    try {
        const os::Peer peer = os::peer_of(socket);
        if (peer.pid != ::getpid()) {
            if (is_gone(peer.pid)) {
                ::_exit(1);
            }
            if (peer.pid != ::getppid()) {
                refuse("the socket that it was started with is not its parent's");
            }
        }
        if (peer.user != ::geteuid()) {
            refuse("its parent is another user");
        }
    } catch (const std::exception&) {
        refuse("it was started without a socket of its parent");
    }
}

}  // namespace mp::detail
