// SPDX-License-Identifier: BSL-1.0
#include "process/tracker_sockets.hpp"

#include "mp/thread_safety.hpp"

#include "os/fd_passing.hpp"
#include "os/fork_lock.hpp"
#include "os/socket.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <optional>
#include <vector>

namespace mp::detail {
namespace {

struct Listed {
    int fd;
    ino_t socket;
};

std::optional<ino_t> socket_at(int fd) noexcept {
    struct stat status {};
    if (::fstat(fd, &status) != 0 || !S_ISSOCK(status.st_mode)) {
        return std::nullopt;
    }
    return status.st_ino;
}

// What is closed need not be taken off at once: by its number and its inode, an entry
// is known to be of the past.
bool is_open(const Listed& one) noexcept {
    return socket_at(one.fd) == one.socket;
}

struct List {
    os::ForkLock lock;
    std::vector<Listed> sockets MP_GUARDED_BY(lock);

    static List& get() {
        static auto* const instance = new List;
        return *instance;
    }

    void add(int fd) MP_REQUIRES(lock) {
        std::erase_if(sockets, [](const Listed& one) { return !is_open(one); });
        if (const auto socket = socket_at(fd)) {
            sockets.push_back({fd, *socket});
        }
    }
};

// Before main, so that no fork can fall into the making.
[[maybe_unused]] const bool sockets_made_early = (List::get(), true);

}  // namespace

std::pair<UniqueFd, UniqueFd> make_tracker_connection() {
    List& list = List::get();
    // Made and listed while nobody forks.
    const os::ForkLockHeld held(list.lock);
    auto ends = os::make_socketpair(os::SocketKind::seqpacket);
    list.add(ends.first.get());
    list.add(ends.second.get());
    os::name_senders(ends.second.get());
    return ends;
}

void list_tracker_socket(int socket) {
    List& list = List::get();
    const os::ForkLockHeld held(list.lock);
    list.add(socket);
}

// The fork has waited for the lock.
void close_tracker_sockets_of_parent(int kept) noexcept MP_NO_THREAD_SAFETY_ANALYSIS {
    std::erase_if(List::get().sockets, [kept](const Listed& one) {
        if (one.fd != kept && is_open(one)) {
            ::close(one.fd);
        }
        return one.fd != kept;
    });
}

}  // namespace mp::detail
