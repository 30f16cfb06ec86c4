// SPDX-License-Identifier: BSL-1.0
// A user namespace that maps only some users, as rootless containers have: 65534 is the
// number of `nobody` there, and stands for all users of the machine who have none.
// [no-asan]: it looks for leaks by tracing, which the kernel refuses there. [no-tsan]:
// a process with threads, as its programs are, cannot enter a new user namespace.
#include "mp/connection.hpp"
#include "mp/context.hpp"
#include "mp/forkserver.hpp"
#include "mp/listener.hpp"
#include "mp/process.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/shared_memory.hpp"

#include "os/credentials.hpp"
#include "os/fd_passing.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/shm_names.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <fstream>
#include <functional>
#include <grp.h>
#include <string>
#include <system_error>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

namespace {

constexpr uid_t nobody = 65534;
constexpr uid_t stranger = 61'238;

bool become(uid_t user) {
    return ::setgroups(0, nullptr) == 0 && ::setresgid(user, user, user) == 0 &&
           ::setresuid(user, user, user) == 0;
}

bool write_map(pid_t process, const char* file) {
    std::ofstream map("/proc/" + std::to_string(process) + "/" + file);
    map << "0 100000 1000\n65534 165534 1\n";
    map.flush();
    return map.good();
}

constexpr int no_namespaces = 77;

/// What `body` returns as user 65534 of such a namespace.
int as_nobody_inside(const std::function<int()>& body) {
    auto [inside_is_made, made] = mp::os::make_pipe();
    auto [maps_are_written, written] = mp::os::make_pipe();
    const pid_t child = test::fork_child(
        [&, &made = made, &written = written, &maps_are_written = maps_are_written] {
            written.reset();
            if (::unshare(CLONE_NEWUSER) != 0) {
                return no_namespaces;
            }
            made.reset();
            std::array<std::byte, 1> byte{};
            if (mp::os::receive_some(maps_are_written.get(), byte, mp::Deadline(30s)) ==
                    0 ||
                !become(nobody)) {
                return no_namespaces;
            }
            return body();
        }
    );
    made.reset();
    mp::os::wait_readable(inside_is_made.get(), mp::Deadline(30s));
    if (write_map(child, "uid_map") && write_map(child, "gid_map")) {
        const std::byte byte{};
        mp::os::send_all(written.get(), {&byte, 1}, mp::Deadline(30s));
    }
    written.reset();
    return test::exit_status(child);
}

bool is_possible(int status) {
    if (status == no_namespaces) {
        WARN("not checked: only root can make such user namespaces, and only where "
             "there are any");
        return false;
    }
    return true;
}

/// One end of a pair that a process of that user has made; it lives as long as `alive`.
mp::UniqueFd socket_of_stranger(mp::UniqueFd& alive, pid_t& pid) {
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    auto [life, keep] = mp::os::make_pipe();
    pid = test::fork_child(
        [&, &theirs = theirs, &ours = ours, &life = life, &keep = keep] {
            ours.reset();
            keep.reset();
            if (!become(stranger)) {
                return 1;
            }
            auto [one, other] = mp::os::make_socketpair(mp::os::SocketKind::stream);
            const std::array<int, 1> fds{one.get()};
            const std::byte byte{};
            mp::os::send_with_fds(theirs.get(), {&byte, 1}, fds, mp::Deadline(30s));
            mp::os::wait_readable(life.get(), mp::Deadline(mp::forever));
            return 0;
        }
    );
    theirs.reset();
    alive = std::move(keep);
    std::array<std::byte, 1> byte{};
    auto got = mp::os::receive_with_fds(ours.get(), byte, 1, mp::Deadline(30s));
    return got.fds.empty() ? mp::UniqueFd() : std::move(got.fds.front());
}

void need_nothing() {}

bool client_meets_listener() {
    mp::connection::Listener listener(
        {.family = mp::connection::Family::unix_socket, .authkey = "k"}
    );
    std::thread server([&] { listener.accept(30s).send(1); });
    const int heard = mp::connection::Client({.address = listener.address(),
                                              .authkey = "k",
                                              .timeout = 30s})
                          .recv<int>();
    server.join();
    return heard == 1;
}

}  // namespace

TEST_CASE(
    "User namespaces: nobody in a rootless container is a user like others",
    "[faults][privileges][no-asan][no-tsan]"
) {
    const auto captured = test::run_captured([] {
        return as_nobody_inside([] {
            auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
            if (!mp::os::is_own_user_or_root(mp::os::peer_of(ours.get())) ||
                mp::os::is_own_user_or_root(nobody)) {
                return 2;
            }
            // The tracker, shared memory of its own, its children.
            mp::SharedMemory memory({.create = true, .size = 64});
            const mp::SharedMemory again({.name = memory.name()});
            for (const auto method :
                 {mp::StartMethod::spawn,
                  mp::StartMethod::forkserver,
                  mp::StartMethod::fork}) {
                mp::Process child({.start_method = method}, need_nothing);
                child.start();
                child.join();
                if (child.exitcode() != 0) {
                    return 3;
                }
            }
            memory.unlink();
            mp::stop_helpers();
            return client_meets_listener() ? 0 : 4;
        });
    });
    CAPTURE(captured.text);
    if (is_possible(captured.status)) {
        CHECK(captured.status == 0);
        CHECK(captured.text.empty());
    }
}

TEST_CASE(
    "User namespaces: nobody in a rootless container is none of those without a number",
    "[faults][privileges][no-asan][no-tsan]"
) {
    if (::geteuid() != 0) {
        WARN("not checked: only root can become another user");
        return;
    }
    // What looks like nobody's from inside, and is another user's.
    mp::SharedMemory memory({.create = true, .size = 64});
    const std::string path = "/dev/shm/" + memory.name();
    REQUIRE(::chown(path.c_str(), stranger, stranger) == 0);
    REQUIRE(::chmod(path.c_str(), 0666) == 0);
    mp::UniqueFd alive;
    pid_t pid = -1;
    const mp::UniqueFd socket = socket_of_stranger(alive, pid);
    const int status = as_nobody_inside([&] {
        const mp::os::Peer peer = mp::os::peer_of(socket.get());
        if (peer.user != nobody || peer.pid != pid) {
            return 2;
        }
        if (mp::os::is_own_user_or_root(peer)) {
            return 3;
        }
        const mp::SharedMemory trusting({.name = memory.name(), .any_user = true});
        try {
            const mp::SharedMemory attached({.name = memory.name()});
            return 4;
        } catch (const std::system_error& error) {
            return error.code() == std::errc::permission_denied ? 0 : 5;
        }
    });
    alive.reset();
    CHECK(test::exit_status(pid) == 0);
    memory.unlink();
    if (is_possible(status)) {
        CHECK(status == 0);
    }
}
