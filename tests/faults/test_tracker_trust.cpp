// SPDX-License-Identifier: BSL-1.0
// The resource tracker of root, and a child of root that has become another user: it
// has a connection to the tracker, and uses it to do harm.
#include "mp/context.hpp"
#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/process.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/shared_memory.hpp"
#include "mp/spawn.hpp"

#include "os/fd_passing.hpp"
#include "os/named_memory.hpp"
#include "os/pidfd.hpp"
#include "process/resource_tracker_client.hpp"
#include "process/tracker_protocol.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/shm_names.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstring>
#include <fstream>
#include <grp.h>
#include <string>
#include <system_error>
#include <thread>
#include <vector>

using namespace std::chrono_literals;

using mp::detail::TrackerMessage;
using mp::detail::TrackerWord;

namespace {

constexpr uid_t other_user = 61'236;

bool become_other_user() {
    return ::setgroups(0, nullptr) == 0 &&
           ::setresgid(other_user, other_user, other_user) == 0 &&
           ::setresuid(other_user, other_user, other_user) == 0;
}

bool is_root() {
    if (::geteuid() != 0) {
        WARN("not checked: only root can become another user");
        return false;
    }
    return true;
}

mp::os::FileId id_of(const std::string& path) {
    struct stat status {};
    ::lstat(path.c_str(), &status);
    return {status.st_dev, status.st_ino};
}

/// The descriptors of this process that may lead to a tracker.
std::vector<int> connections() {
    std::vector<int> found;
    for (int fd = 3; fd < 1024; ++fd) {
        int kind = 0;
        socklen_t size = sizeof kind;
        if (::getsockopt(fd, SOL_SOCKET, SO_TYPE, &kind, &size) == 0 &&
            kind == SOCK_SEQPACKET) {
            found.push_back(fd);
        }
    }
    return found;
}

void tell_all(TrackerWord word, const std::string& name, const mp::os::FileId& id) {
    const TrackerMessage message{
        .word = word,
        .pid = ::getpid(),
        .process = mp::detail::process_token(),
        .id = id};
    std::array<char, 512> packet{};
    std::memcpy(packet.data(), &message, sizeof message);
    std::memcpy(packet.data() + sizeof message, name.data(), name.size());
    for (const int fd : connections()) {
        ::send(fd, packet.data(), sizeof message + name.size(), MSG_NOSIGNAL);
    }
}

/// Has the tracker remove `path` when this process is killed, and lets it be.
void attack(const std::string& path, const mp::os::FileId& id) {
    const mp::UniqueFd self = mp::os::pidfd_open(::getpid());
    const std::string from_directory = "../.." + path;
    tell_all(TrackerWord::track, from_directory, id);
    // Once more as one that the tracker knows.
    try {
        mp::resource_tracker::ensure_running();
    } catch (const std::exception&) {
    }
    tell_all(TrackerWord::track, from_directory, id);
    ::raise(SIGKILL);
}

void attack_as_other_user(const std::string& path, const mp::os::FileId& id) {
    if (become_other_user()) {
        attack(path, id);
    }
}

void attack_after_hello(const std::string& path, const mp::os::FileId& id) {
    mp::resource_tracker::ensure_running();
    if (become_other_user()) {
        attack(path, id);
    }
}

/// Everything that its connection is no good for.
void break_connection() {
    mp::resource_tracker::ensure_running();
    if (!become_other_user()) {
        throw mp::SystemExit(3);
    }
    for (const int fd : connections()) {
        ::fcntl(fd, F_SETFL, O_NONBLOCK);
        for (std::size_t i = 0; i < 2000; ++i) {
            ::send(fd, "half", i % 5, MSG_NOSIGNAL);  // empty ones, too
            // More than any message brings.
            const std::vector<int> fds(i % 4 == 0 ? 100 : 0, fd);
            const std::byte one{};
            try {
                mp::os::send_packet(fd, {&one, 1}, fds, mp::Deadline(0s));
            } catch (const std::exception&) {
                break;  // the connection has been closed
            }
        }
        ::shutdown(fd, SHUT_RDWR);
    }
}

/// 0 when it was refused.
void unlink_memory(const std::string& name) {
    mp::SharedMemory memory({.name = name});
    if (!become_other_user()) {
        throw mp::SystemExit(3);
    }
    try {
        memory.unlink();
    } catch (const std::system_error& error) {
        const bool forbidden = error.code() == std::errc::operation_not_permitted ||
                               error.code() == std::errc::permission_denied;
        throw mp::SystemExit(forbidden ? 0 : 2);
    }
    throw mp::SystemExit(1);
}

void make_as_other_user(mp::Connection out) {
    mp::resource_tracker::ensure_running();
    if (!become_other_user()) {
        throw mp::SystemExit(3);
    }
    mp::SharedMemory removed({.create = true, .size = 64});
    removed.unlink();
    const mp::SharedMemory left({.create = true, .size = 64});
    out.send(left.name());
    ::raise(SIGKILL);
}

void do_nothing() {}

mp::SharedMemory small_segment() {
    return mp::SharedMemory({.create = true, .size = 64});
}

}  // namespace

TEST_CASE(
    "Tracker: the file of root that another user names stays", "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const mp::Context ctx = each_start_method();
    const auto attacker = GENERATE(attack_as_other_user, attack_after_hello);
    const test::TempDir folder;
    const std::string victim = (folder.path() / "victim").string();
    std::ofstream(victim) << "precious";
    const auto captured = test::run_captured([&] {
        mp::resource_tracker::ensure_running();
        mp::Process child = ctx.Process(attacker, victim, id_of(victim));
        child.start();
        child.join();
        mp::stop_helpers();
        return child.exitcode() == -SIGKILL ? 0 : 1;
    });
    CAPTURE(captured.text);
    CHECK(captured.status == 0);
    CHECK(::access(victim.c_str(), F_OK) == 0);
    CHECK_THAT(captured.text, test::ContainsSubstring("refused"));
}

TEST_CASE(
    "Tracker: a name that leads out of its directory is refused, whoever sends it",
    "[faults][privileges]"
) {
    const mp::Context ctx = each_start_method();
    const test::TempDir folder;
    const std::string victim = (folder.path() / "victim").string();
    std::ofstream(victim) << "precious";
    const auto captured = test::run_captured([&] {
        mp::resource_tracker::ensure_running();
        mp::Process child = ctx.Process(attack, victim, id_of(victim));
        child.start();
        child.join();
        mp::stop_helpers();
        return child.exitcode() == -SIGKILL ? 0 : 1;
    });
    CAPTURE(captured.text);
    CHECK(captured.status == 0);
    CHECK(::access(victim.c_str(), F_OK) == 0);
    CHECK_THAT(captured.text, test::ContainsSubstring("refused"));
}

TEST_CASE(
    "Tracker: a child of another user breaks no connection but its own",
    "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const mp::Context ctx = each_start_method();
    const auto captured = test::run_captured([&] {
        mp::resource_tracker::ensure_running();
        const pid_t tracker = mp::detail::resource_tracker_pid();
        // Nobody has it open: only what the tracker believes keeps it.
        mp::SharedMemory memory = small_segment();
        memory.close();
        mp::Process child = ctx.Process(break_connection);
        child.start();
        child.join();
        if (child.exitcode() != 0) {
            return 1;
        }
        const test::LogCapture log;
        small_segment().unlink();
        if (!test::has_name(memory.name()) ||
            mp::detail::resource_tracker_pid() != tracker || !log.text().empty()) {
            return 2;
        }
        memory.unlink();
        mp::stop_helpers();
        return 0;
    });
    CAPTURE(captured.text);
    CHECK(captured.status == 0);
    // Not a line for each, and what came with it has not been taken.
    CHECK(captured.text.size() < 1000);
    CHECK(captured.text.find("lost") == std::string::npos);
}

TEST_CASE(
    "Tracker: what root made is not removed for another user", "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const mp::Context ctx = each_start_method();
    const auto captured = test::run_captured([&] {
        mp::SharedMemory memory = small_segment();
        mp::Process child = ctx.Process(unlink_memory, memory.name());
        child.start();
        child.join();
        const bool stays = test::has_name(memory.name());
        memory.unlink();
        mp::stop_helpers();
        return child.exitcode() == 0 && stays ? 0 : 1;
    });
    CAPTURE(captured.text);
    CHECK(captured.status == 0);
}

TEST_CASE(
    "Tracker: a child that became another user has a tracker of that user",
    "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const mp::Context ctx = each_start_method();
    mp::resource_tracker::ensure_running();
    auto [ours, theirs] = mp::Pipe();
    mp::Process child = ctx.Process(make_as_other_user, theirs);
    child.start();
    const auto name = ours.recv<std::string>();
    child.join();
    CHECK(child.exitcode() == -SIGKILL);
    CHECK(test::wait_until_gone(name));
}

TEST_CASE(
    "Tracker: what was made before the user changed is unlinked at once after that",
    "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const auto captured = test::run_captured([] {
        mp::SharedMemory memory = small_segment();
        if (!become_other_user()) {
            return 3;
        }
        const test::LogCapture log;
        memory.unlink();
        mp::stop_helpers();
        return !test::has_name(memory.name()) && log.text().empty() ? 0 : 1;
    });
    CAPTURE(captured.text);
    CHECK(captured.status == 0);
    CHECK(captured.text.empty());
}

TEST_CASE(
    "Tracker: a new user who cannot run the program is told of untracked memory",
    "[faults][privileges]"
) {
    if (!is_root()) {
        return;
    }
    const int status = test::run_in_fork_for(60s, [] {
        mp::SharedMemory before = small_segment();
        const test::TempDir folder;
        mp::set_executable(folder.path() / "none of ours");
        int code = 0;
        if (!become_other_user()) {
            return 3;
        }
        try {
            small_segment();
            code = 1;
        } catch (const mp::SpawnError& error) {
            code = std::string(error.what()).find(".track = false") != std::string::npos
                       ? 0
                       : 2;
        }
        before.unlink();
        mp::stop_helpers();
        return code;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "Tracker: no forked child keeps a connection of its parent, whenever it is forked",
    "[faults][privileges][no-tsan]"  // a fork beside other threads
) {
    const mp::Context ctx = each_start_method();
    mp::stop_helpers();
    std::atomic<bool> done{false};
    std::thread starter([&] {
        for (int i = 0; i < 15; ++i) {
            mp::resource_tracker::ensure_running();
            mp::Process child = ctx.Process(do_nothing);
            child.start();
            child.join();
            if (i % 5 == 0) {
                mp::stop_helpers();
            }
        }
        done = true;
    });
    int kept = 0;
    while (!done) {
        kept += test::run_in_fork([] { return connections().empty() ? 0 : 1; });
    }
    starter.join();
    CHECK(kept == 0);
}
