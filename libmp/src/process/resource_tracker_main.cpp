// SPDX-License-Identifier: BSL-1.0
// The resource tracker: keeps the list of named memory, watches its makers and removes
// what a killed one left. It believes only its own user, as the kernel names the sender
// of each message: a child that has become another user still has its connection.
#include "process/resource_tracker_main.hpp"

#include "mp/errors.hpp"

#include "os/credentials.hpp"
#include "os/fd_passing.hpp"
#include "os/fork.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/signals.hpp"
#include "os/socket.hpp"
#include "process/tracker_list.hpp"
#include "process/tracker_protocol.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <iterator>
#include <optional>
#include <span>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// How often to ask whether memory is still in use: often at first, when its last user
// is probably on its way out.
constexpr auto first_pause = 5ms;
constexpr auto longest_pause = 500ms;

// After a message the tracker looks away for so long: to wake it up takes the sender
// longer than to send, and messages come in bursts. The socket holds more of them than
// can come meanwhile.
constexpr auto nap = 2ms;

// What a socket can hold is less: all that a process said before it ended is read in
// one turn, and no flood keeps the others waiting for longer.
constexpr int most_at_once = 4096;

// A connection over which so many messages came that are not believed is closed.
constexpr int most_refused = 256;

// So many lines about bad messages are written; more would help nobody.
constexpr int most_complaints = 32;

/// To one process, and to no other: what that may do to it, shutdown(2) for instance,
/// ends nobody else's.
struct Connection {
    UniqueFd socket;
    int refused = 0;
};

class Tracker {
public:
    explicit Tracker(UniqueFd socket) {
        connections_.push_back({.socket = std::move(socket)});
    }

    /// One round: waits for something to happen, and does what follows from it. False
    /// when nothing is left to do.
    bool serve();

    int status() const { return static_cast<int>(list_.status()); }

private:
    std::vector<TrackerList::Process> wait();
    void read_messages();
    bool read_message(Connection& from);
    bool read_next(Connection& from);
    bool is_believed(const os::Sender& sender, const TrackerMessage& message) const;
    void refuse(Connection& from, const os::Sender& sender);
    void obey(
        const os::Sender& sender,
        const TrackerMessage& message,
        const std::string& name,
        std::vector<UniqueFd> fds
    );
    void meet(
        const os::Sender& sender,
        const TrackerMessage& message,
        std::vector<UniqueFd> fds
    );
    void join(std::vector<UniqueFd> fds);
    void complain(const std::string& text);

    std::vector<Connection> connections_;
    std::vector<Connection> joined_;  // since the turn began
    TrackerList list_;
    std::chrono::milliseconds pause_ = first_pause;
    bool napping_ = false;
    int complaints_ = 0;
};

void settle_in() {
    os::close_standard_input();
    // A process that reads what the program writes need not wait for us.
    ::dup2(0, 1);
    os::restore_signals();
    for (const int signal : {SIGINT, SIGTERM, SIGHUP}) {
        os::ignore_signal(signal);
    }
    ::prctl(PR_SET_NAME, "mp-tracker");
    // There is a connection for each process of the family.
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) == 0) {
        limit.rlim_cur = limit.rlim_max;
        ::setrlimit(RLIMIT_NOFILE, &limit);
    }
    static_cast<void>(::chdir("/"));
}

bool Tracker::serve() {
    // A process that has ended by now has said everything before: first the messages.
    const std::vector<TrackerList::Process> ended = wait();
    read_messages();
    for (const TrackerList::Process process : ended) {
        list_.recover(process);
    }
    if (connections_.empty()) {
        list_.condemn_what_nobody_awaits();
    }
    list_.sweep(connections_.empty());
    return !connections_.empty() || !list_.empty();
}

std::vector<TrackerList::Process> Tracker::wait() {
    std::vector<pollfd> waited;
    const auto processes = list_.watched();
    for (const auto& [process, pidfd] : processes) {
        waited.push_back({.fd = pidfd, .events = POLLIN, .revents = 0});
    }
    if (std::exchange(napping_, false)) {
        os::poll(waited, Deadline(nap));
    } else {
        for (const Connection& one : connections_) {
            waited.push_back({.fd = one.socket.get(), .events = POLLIN, .revents = 0});
        }
        const bool look_again = connections_.empty() || list_.has_condemned();
        const bool happened =
            os::poll(waited, look_again ? Deadline(pause_) : Deadline(forever)) > 0;
        pause_ = happened ? first_pause : std::min(2 * pause_, longest_pause);
    }
    std::vector<TrackerList::Process> ended;
    auto watched = waited.begin();
    for (const auto& [process, pidfd] : processes) {
        if ((watched++)->revents != 0) {
            ended.push_back(process);
        }
    }
    return ended;
}

void Tracker::read_messages() {
    std::vector<pollfd> readable;
    for (const Connection& one : connections_) {
        readable.push_back({.fd = one.socket.get(), .events = POLLIN, .revents = 0});
    }
    os::poll(readable, Deadline(0s));
    for (std::size_t i = 0; i < readable.size(); ++i) {
        bool more = readable[i].revents != 0;
        for (int count = 0; more && count < most_at_once; ++count) {
            more = read_message(connections_[i]);
        }
    }
    std::erase_if(connections_, [](const Connection& one) { return !one.socket; });
    std::move(joined_.begin(), joined_.end(), std::back_inserter(connections_));
    joined_.clear();
}

// What a packet says, before anything of it is done.
struct Looked {
    TrackerMessage message;
    bool whole = false;
};

Looked look_at(std::span<const std::byte> packet) {
    Looked looked;
    looked.whole = packet.size() >= sizeof looked.message;
    if (looked.whole) {
        std::memcpy(&looked.message, packet.data(), sizeof looked.message);
    }
    return looked;
}

// False when there is nothing more to read for now. The end of a connection closes it.
bool Tracker::read_message(Connection& from) {
    try {
        return read_next(from);
    } catch (const TimeoutError&) {
        return false;
    } catch (const std::system_error& error) {
        const int code = error.code().value();
        if (code == ECONNRESET) {
            return true;
        }
        complain(std::string("a message is lost: ") + error.what());
        list_.worse(TrackerStatus::bad_message);
        if (code == EBADMSG || code == EMFILE) {
            return true;  // it has been read
        }
    }
    from.socket.reset();  // it would be the same for ever
    return false;
}

bool Tracker::read_next(Connection& from) {
    std::array<std::byte, longest_tracker_message> packet{};
    const int socket = from.socket.get();
    // First who sends it: of others not even the descriptors are taken.
    const auto next = os::peek_packet(socket, packet);
    if (!next) {
        return false;
    }
    napping_ = true;
    if (next->sender &&
        !is_believed(
            *next->sender, look_at(std::span(packet).first(next->bytes)).message
        )) {
        os::drop_packet(socket);
        refuse(from, *next->sender);
        return static_cast<bool>(from.socket);
    }
    os::ReceivedFds got = os::receive_with_fds(socket, packet, 2, Deadline(0s));
    if (!got.sender) {
        from.socket.reset();
        return false;
    }
    // Once more: whoever made the connection may have taken the other packet.
    const Looked looked = look_at(std::span(packet).first(got.bytes));
    if (!is_believed(*got.sender, looked.message)) {
        refuse(from, *got.sender);
    } else if (!looked.whole) {
        list_.worse(TrackerStatus::bad_message);
    } else {
        const std::string name(
            reinterpret_cast<const char*>(packet.data()) + sizeof looked.message,
            got.bytes - sizeof looked.message
        );
        obey(*got.sender, looked.message, name, std::move(got.fds));
    }
    return static_cast<bool>(from.socket);
}

// Another user than we are is believed in one thing: a process that told us something
// while it was our user, and is another by now, may still take that back.
bool Tracker::is_believed(const os::Sender& sender, const TrackerMessage& message)
    const {
    if (os::is_relative_of_own_user_or_root(sender.user)) {
        return true;
    }
    const bool takes_back =
        message.word == TrackerWord::forget || message.word == TrackerWord::leave ||
        message.word == TrackerWord::withdraw || message.word == TrackerWord::remove;
    const TrackerList::Maker* const known = list_.maker(message.process);
    return takes_back && known != nullptr && sender.pid > 0 &&
           known->known_pid == sender.pid && known->pidfd &&
           !os::pidfd_ended(known->pidfd.get());
}

void Tracker::refuse(Connection& from, const os::Sender& sender) {
    if (from.refused == 0) {
        complain(
            "refused: a message of process " + std::to_string(sender.pid) +
            ", which is user " + std::to_string(sender.user) + " and not " +
            std::to_string(::geteuid())
        );
    }
    if (++from.refused == most_refused) {
        from.socket.reset();
    }
}

void Tracker::obey(
    const os::Sender& sender,
    const TrackerMessage& message,
    const std::string& name,
    std::vector<UniqueFd> fds
) {
    std::optional<TrackerList::Process> only_of;
    if (!os::is_relative_of_own_user_or_root(sender.user)) {
        only_of = message.process;
    }
    switch (message.word) {
    case TrackerWord::ready:
        return;
    case TrackerWord::hello:
        meet(sender, message, std::move(fds));
        return;
    case TrackerWord::track:
        try {
            list_.track(name, message.id, message.process);
        } catch (const std::exception& error) {
            complain(std::string("refused: ") + error.what());
            list_.worse(TrackerStatus::bad_message);
        }
        return;
    case TrackerWord::forget:
        list_.forget(message.id, only_of);
        return;
    case TrackerWord::leave:
        list_.leave(message.process);
        return;
    case TrackerWord::withdraw:
        list_.withdraw(message.process);
        return;
    case TrackerWord::join:
        join(std::move(fds));
        return;
    case TrackerWord::remove:
        // Not under a name of the sender's choice. Silence, and the end of its socket,
        // says that it is not done. No other kind of file, which could keep us waiting.
        if (fds.size() == 1 && os::is_unix_socket(fds.front().get()) &&
            list_.remove_now(message.id, only_of)) {
            const std::byte removed{1};
            try {
                os::try_send(fds.front().get(), {&removed, 1});
            } catch (const std::exception&) {
                // Nobody waits for it any more.
            }
        }
        return;
    }
    list_.worse(TrackerStatus::bad_message);
}

void Tracker::meet(
    const os::Sender& sender, const TrackerMessage& message, std::vector<UniqueFd> fds
) {
    TrackerList::Maker maker{
        .pid = message.pid, .known_pid = sender.pid, .pidfd = {}, .parent_watch = {}};
    if (!fds.empty()) {
        maker.pidfd = std::move(fds.front());
    }
    if (fds.size() > 1) {
        maker.parent_watch = std::move(fds.back());
    }
    list_.meet(message.process, std::move(maker));
}

void Tracker::join(std::vector<UniqueFd> fds) {
    if (fds.size() != 1 || !os::is_packet_socket(fds.front().get())) {
        list_.worse(TrackerStatus::bad_message);
        return;
    }
    os::name_senders(fds.front().get());
    joined_.push_back({.socket = std::move(fds.front())});
}

void Tracker::complain(const std::string& text) {
    if (complaints_ < most_complaints) {
        ++complaints_;
        TrackerList::say(text);
    }
}

}  // namespace

void run_resource_tracker(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    settle_in();
    try {
        os::name_senders(socket.get());
        const TrackerMessage ready;
        os::send_all(
            socket.get(), std::as_bytes(std::span(&ready, 1)), Deadline(forever)
        );
        Tracker tracker(std::move(socket));
        while (tracker.serve()) {
        }
        std::exit(tracker.status());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "resource_tracker: %s\n", error.what());
        std::exit(static_cast<int>(TrackerStatus::bad_message));
    }
}

}  // namespace mp::detail
