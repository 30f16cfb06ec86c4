// SPDX-License-Identifier: BSL-1.0
// Starts one resource tracker, again when it was killed, and tells it things.
#include "process/tracker_link.hpp"

#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/fd_passing.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "process/freeze_support.hpp"
#include "process/own_program.hpp"
#include "process/tracker_sockets.hpp"
#include "util/diagnostics.hpp"
#include "util/parent_watch.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstring>
#include <exception>
#include <system_error>
#include <utility>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// A tracker that does not say in this time that it runs never will.
constexpr auto start_timeout = 30s;
// A tracker that takes no message for so long has been stopped.
constexpr auto send_timeout = 10s;
// How long a tracker may take to clean up before this process goes on without it.
constexpr auto tracker_grace = 1s;
// A child is not kept waiting for a stopped tracker: it does without.
constexpr auto connect_timeout = 1s;

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

}  // namespace

TrackerLink::TrackerLink() noexcept : user_(::geteuid()) {}

TrackerLink::TrackerLink(UniqueFd connection) noexcept
    : user_(::geteuid()), socket_(std::move(connection)) {}

bool TrackerLink::has(const os::FileId& id) const noexcept {
    return std::any_of(mine_.begin(), mine_.end(), [&](const Tracked& one) {
        return one.id == id;
    });
}

void TrackerLink::drop(const os::FileId& id) noexcept {
    std::erase_if(mine_, [&](const Tracked& one) { return one.id == id; });
}

void TrackerLink::wait_for_end() {
    const Deadline end(tracker_grace);
    for (UniqueFd* const tracker : {&given_up_, &pidfd_}) {
        if (*tracker && !os::wait_readable(tracker->get(), end)) {
            log_info("the resource tracker is still needed; not waiting for it");
        }
        reap(*tracker);
    }
    if (pidfd_) {
        given_up_ = std::move(pidfd_);
    }
    pid_ = -1;
}

void TrackerLink::start() {
    refuse_while_bootstrapping();
    auto [ours, trackers] = make_tracker_connection();
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
    socket_ = std::move(ours);
    pid_ = pid;
    pidfd_ = std::move(pidfd);
    introduced_ = false;
}

void TrackerLink::tell(
    TrackerWord word, const Tracked& about, std::span<const int> fds
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
    os::send_packet(
        socket_.get(),
        std::span(packet).first(sizeof message + about.name.size()),
        fds,
        Deadline(word == TrackerWord::join ? connect_timeout : send_timeout)
    );
}

void TrackerLink::introduce() {
    const UniqueFd self = os::pidfd_open(::getpid());
    const std::array<int, 2> fds{self.get(), parent_watch_fd()};
    tell(TrackerWord::hello, {}, std::span(fds).first(fds[1] < 0 ? 1 : 2));
    for (const Tracked& tracked : mine_) {
        tell(TrackerWord::track, tracked);
    }
    introduced_ = true;
}

void TrackerLink::say(TrackerWord word, const Tracked& about) {
    const bool can_start = user_ == ::geteuid();
    for (bool again = false;; again = true) {
        if (!socket_) {
            if (!can_start) {
                return;
            }
            start();
        }
        try {
            if (!introduced_) {
                introduce();
            }
            tell(word, about);
            return;
        } catch (const std::system_error& error) {
            if (again || !os::peer_is_gone(error)) {
                throw;
            }
        }
        log_warning("resource_tracker: the process died unexpectedly, relaunching it; "
                    "what other processes told it is forgotten");
        socket_.reset();
        introduced_ = false;
        wait_for_end();
    }
}

void TrackerLink::say_if_known(TrackerWord word, const Tracked& about) {
    if (socket_ && introduced_) {
        say(word, about);
    }
}

bool TrackerLink::remove(const Tracked& tracked) {
    if (!socket_) {
        return false;
    }
    auto [answer, trackers] = os::make_socketpair(os::SocketKind::stream);
    const std::array<int, 1> fds{trackers.get()};
    try {
        if (!introduced_) {
            introduce();
        }
        tell(TrackerWord::remove, tracked, fds);
        trackers.reset();
        std::byte removed{};
        os::receive_exactly(answer.get(), {&removed, 1}, Deadline(send_timeout));
    } catch (const std::exception& error) {
        log_info(
            "the resource tracker did not remove '" + tracked.name +
            "': " + error.what()
        );
        return false;
    }
    drop(tracked.id);
    return true;
}

UniqueFd TrackerLink::connection_for_child() noexcept {
    if (!socket_ || user_ != ::geteuid()) {
        return {};
    }
    try {
        auto [childs, trackers] = make_tracker_connection();
        const std::array<int, 1> fds{trackers.get()};
        tell(TrackerWord::join, {}, fds);
        return std::move(childs);
    } catch (const std::exception&) {
        return {};  // It was killed or stopped: the child starts its own at need.
    }
}

void TrackerLink::forget_what_is_gone() {
    std::vector<Tracked> still;
    for (Tracked& tracked : std::exchange(mine_, {})) {
        if (os::has_name(tracked.name, tracked.id)) {
            still.push_back(std::move(tracked));
        } else {
            say_if_known(TrackerWord::forget, tracked);
        }
    }
    mine_ = std::move(still);
}

void TrackerLink::abandon() noexcept {
    static_cast<void>(socket_.release());  // closed with all others
    pidfd_.reset();
    given_up_.reset();
}

void TrackerLink::withdraw() noexcept {
    if (socket_ && introduced_) {
        try {
            tell(TrackerWord::withdraw, {});
        } catch (const std::exception&) {
            // Killed, or stopped: it is told nothing more in either case.
        }
    }
    socket_.reset();
    introduced_ = false;
}

}  // namespace mp::detail
