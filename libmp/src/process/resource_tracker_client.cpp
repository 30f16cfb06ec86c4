// SPDX-License-Identifier: BSL-1.0
// Starts the resource tracker, again when it was killed, and tells it what this process
// made and removed.
#include "process/resource_tracker_client.hpp"

#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/thread_safety.hpp"

#include "data/spawning.hpp"
#include "os/check.hpp"
#include "os/fd_passing.hpp"
#include "os/fork.hpp"
#include "os/per_process.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "process/freeze_support.hpp"
#include "process/own_program.hpp"
#include "process/tracker_protocol.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/parent_watch.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <cstring>
#include <memory>
#include <span>
#include <stdexcept>
#include <system_error>
#include <utility>
#include <vector>

namespace mp {
namespace detail {
namespace {

using namespace std::chrono_literals;

// A tracker that does not say in this time that it runs never will.
constexpr auto start_timeout = 30s;
// A tracker that takes no message for so long has been stopped.
constexpr auto send_timeout = 10s;
// How long a tracker may take to clean up before this process goes on without it.
constexpr auto tracker_grace = 1s;

struct Tracked {
    std::string name;
    os::FileId id;
};

struct Link {
    // A child of ours goes on with its parent's tracker. In a fork of the program's own
    // it would only keep the tracker from ending.
    void take_over(std::unique_ptr<Link> parents) MP_NO_THREAD_SAFETY_ANALYSIS {
        if (os::forking_a_process()) {
            socket = std::move(parents->socket);
        }
        parents->socket.reset();
        parents->pidfd.reset();
        parents->given_up.reset();
        // The parent's list is left alone: another thread may have been changing it.
        static_cast<void>(parents.release());
    }

    Mutex mutex;
    UniqueFd socket MP_GUARDED_BY(mutex);
    bool introduced MP_GUARDED_BY(mutex) = false;
    // Of the tracker, if this process started it; and of one that did not end in time.
    pid_t pid MP_GUARDED_BY(mutex) = -1;
    UniqueFd pidfd MP_GUARDED_BY(mutex);
    UniqueFd given_up MP_GUARDED_BY(mutex);
    // What this process made, for a tracker that has to be told anew.
    std::vector<Tracked> mine MP_GUARDED_BY(mutex);
    bool at_exit MP_GUARDED_BY(mutex) = false;
};

Link& link() {
    return os::PerProcess<Link, os::AtFork::takes_over>::get();
}

// ----------------------------------------------------------------------------------
// starting and ending the tracker

[[noreturn]] void throw_no_start(SpawnStage stage) {
    throw SpawnError(
        stage,
        "the resource tracker ended before it said that it runs; "
        "does main() begin with mp::freeze_support(argc, argv)?"
    );
}

void reap(UniqueFd& pidfd) noexcept {
    try {
        if (pidfd && os::pidfd_collect(pidfd.get())) {
            pidfd.reset();
        }
    } catch (const std::exception&) {
        pidfd.reset();
    }
}

void wait_for_end(Link& all) MP_REQUIRES(all.mutex) {
    const Deadline end(tracker_grace);
    for (UniqueFd* const tracker : {&all.given_up, &all.pidfd}) {
        if (*tracker && !os::wait_readable(tracker->get(), end)) {
            log_info("the resource tracker is still needed; not waiting for it");
        }
        reap(*tracker);
    }
    if (all.pidfd) {
        all.given_up = std::move(all.pidfd);
    }
    all.pid = -1;
}

void start(Link& all) MP_REQUIRES(all.mutex) {
    refuse_while_bootstrapping();
    auto [ours, trackers] = os::make_socketpair(os::SocketKind::seqpacket);
    const pid_t pid = start_own_program(tracker_argument, trackers);
    trackers.reset();
    UniqueFd pidfd = os::pidfd_of_new_child(pid);
    try {
        TrackerMessage answer;
        os::receive_exactly(
            ours.get(),
            std::as_writable_bytes(std::span(&answer, 1)),
            Deadline(start_timeout)
        );
        if (answer.word != TrackerWord::ready) {
            throw_no_start(SpawnStage::handshake);
        }
    } catch (const std::exception&) {
        if (!os::pidfd_ended(pidfd.get())) {
            os::pidfd_send_signal(pidfd.get(), SIGKILL);
            os::wait_readable(pidfd.get(), Deadline(tracker_grace));
        }
        reap(pidfd);
        throw_no_start(SpawnStage::handshake);
    }
    all.socket = std::move(ours);
    all.pid = pid;
    all.pidfd = std::move(pidfd);
    all.introduced = false;
}

// ----------------------------------------------------------------------------------
// what it is told

void tell(
    int socket, TrackerWord word, const Tracked& about, std::span<const int> fds = {}
) {
    const TrackerMessage message{
        .word = word,
        .pid = ::getpid(),
        .process = process_token(),
        .id = about.id,
    };
    std::array<std::byte, longest_tracker_message> packet{};
    std::memcpy(packet.data(), &message, sizeof message);
    std::memcpy(packet.data() + sizeof message, about.name.data(), about.name.size());
    os::send_with_fds(
        socket,
        std::span(packet).first(sizeof message + about.name.size()),
        fds,
        Deadline(send_timeout)
    );
}

void introduce(Link& all) MP_REQUIRES(all.mutex) {
    const UniqueFd self = os::pidfd_open(::getpid());
    const std::array<int, 2> fds{self.get(), parent_watch_fd()};
    tell(
        all.socket.get(),
        TrackerWord::hello,
        {},
        std::span(fds).first(fds[1] < 0 ? 1 : 2)
    );
    for (const Tracked& tracked : all.mine) {
        tell(all.socket.get(), TrackerWord::track, tracked);
    }
    all.introduced = true;
}

// Starts the tracker when there is none, and another one when it was killed.
void say(Link& all, TrackerWord word, const Tracked& about) MP_REQUIRES(all.mutex) {
    for (bool again = false;; again = true) {
        if (!all.socket) {
            start(all);
        }
        try {
            if (!all.introduced) {
                introduce(all);
            }
            tell(all.socket.get(), word, about);
            return;
        } catch (const std::system_error& error) {
            if (again || !os::peer_is_gone(error)) {
                throw;
            }
        }
        log_warning("resource_tracker: the process died unexpectedly, relaunching it; "
                    "what other processes told it is forgotten");
        all.socket.reset();
        wait_for_end(all);
    }
}

// What other processes have removed, the tracker need not call left behind.
void forget_what_is_gone(Link& all) MP_REQUIRES(all.mutex) {
    std::vector<Tracked> still;
    for (Tracked& tracked : std::exchange(all.mine, {})) {
        if (os::has_name(tracked.name, tracked.id)) {
            still.push_back(std::move(tracked));
        } else if (all.socket && all.introduced) {
            say(all, TrackerWord::forget, tracked);
        }
    }
    all.mine = std::move(still);
}

void leave_at_exit() {
    Link& all = link();
    const MutexLock held(all.mutex);
    forget_what_is_gone(all);
    if (!all.mine.empty() || (all.socket && all.introduced)) {
        say(all, TrackerWord::leave, {});
    }
    all.socket.reset();
    // What this process still has mapped can only go when it is gone.
    if (all.mine.empty()) {
        wait_for_end(all);
    }
}

}  // namespace

void track_memory(const std::string& name, const os::FileId& id) {
    if (sizeof(TrackerMessage) + name.size() > longest_tracker_message) {
        throw std::invalid_argument(
            "a name of " + std::to_string(name.size()) +
            " bytes is too long for the resource tracker"
        );
    }
    ensure_exit_step();
    Link& all = link();
    const MutexLock held(all.mutex);
    if (!all.at_exit) {
        add_exit_part(ExitPhase::helpers, leave_at_exit);
        all.at_exit = true;
    }
    all.mine.push_back({name, id});
    try {
        say(all, TrackerWord::track, all.mine.back());
    } catch (...) {
        all.mine.pop_back();
        throw;
    }
}

void forget_memory(const std::string& name, const os::FileId& id) noexcept {
    try {
        Link& all = link();
        const MutexLock held(all.mutex);
        std::erase_if(all.mine, [&](const Tracked& one) { return one.id == id; });
        if (all.socket) {
            say(all, TrackerWord::forget, {name, id});
        }
    } catch (const std::exception& error) {
        log_warning(
            "the resource tracker cannot be told that '" + name +
            "' is gone: " + error.what()
        );
    }
}

bool remove_tracked_memory(const std::string& name, const os::FileId& id) {
    Link& all = link();
    const MutexLock held(all.mutex);
    if (!all.socket) {
        return false;
    }
    auto [answer, trackers] = os::make_pipe();
    const std::array<int, 1> fds{trackers.get()};
    try {
        if (!all.introduced) {
            introduce(all);
        }
        tell(all.socket.get(), TrackerWord::remove, {name, id}, fds);
        trackers.reset();
        std::byte removed{};
        os::receive_exactly(answer.get(), {&removed, 1}, Deadline(send_timeout));
    } catch (const std::exception& error) {
        log_info("the resource tracker did not remove '" + name + "': " + error.what());
        return false;
    }
    std::erase_if(all.mine, [&](const Tracked& one) { return one.id == id; });
    return true;
}

std::int32_t hand_over_resource_tracker() {
    Link& all = link();
    const MutexLock held(all.mutex);
    return all.socket ? static_cast<std::int32_t>(hand_over(all.socket.get())) : -1;
}

void set_resource_tracker(UniqueFd socket) {
    Link& all = link();
    const MutexLock held(all.mutex);
    all.socket = std::move(socket);
}

void stop_resource_tracker() noexcept {
    try {
        Link& all = link();
        const MutexLock held(all.mutex);
        if (all.socket && all.introduced) {
            try {
                tell(all.socket.get(), TrackerWord::withdraw, {});
            } catch (const std::exception&) {
                // Killed, or stopped: it is told nothing more in either case.
            }
        }
        all.socket.reset();
        all.introduced = false;
        wait_for_end(all);
    } catch (const std::exception& error) {
        log_error(std::string("stopping the resource tracker: ") + error.what());
    }
}

pid_t resource_tracker_pid() {
    Link& all = link();
    const MutexLock held(all.mutex);
    return all.pid;
}

}  // namespace detail

void resource_tracker::ensure_running() {
    detail::Link& all = detail::link();
    const detail::MutexLock held(all.mutex);
    detail::say(all, detail::TrackerWord::ready, {});
}

}  // namespace mp
