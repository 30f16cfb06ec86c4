// SPDX-License-Identifier: BSL-1.0
// The resource tracker: keeps the list of named memory, watches its makers and removes
// what a killed one left.
#include "process/resource_tracker_main.hpp"

#include "mp/errors.hpp"

#include "os/fd_passing.hpp"
#include "os/fork.hpp"
#include "os/named_memory.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/signals.hpp"
#include "os/socket.hpp"
#include "process/tracker_protocol.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <map>
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

enum Status { clean = 0, left_behind = 1, not_removed = 2, bad_message = 3 };

struct Sender {
    pid_t pid = -1;
    UniqueFd pidfd;
    UniqueFd parent_watch;
};

struct Entry {
    std::string name;
    os::FileId id;
    std::uint64_t process = 0;
    bool condemned = false;
    bool was_in_use = false;
};

class Tracker {
public:
    explicit Tracker(UniqueFd socket) : socket_(std::move(socket)) {}

    /// One round: waits for something to happen, and does what follows from it. False
    /// when nothing is left to do.
    bool serve();

    int status() const { return status_; }

private:
    std::vector<std::uint64_t> wait();
    void read_messages();
    void
    obey(const TrackerMessage& message, std::string name, std::vector<UniqueFd> fds);
    void remove_for_sender(const os::FileId& id, std::span<const UniqueFd> answer);
    void recover(std::uint64_t process);
    void condemn_what_nobody_awaits();
    void sweep();
    bool remove(Entry& entry);
    static void say(const std::string& text);
    void worse(Status status) { status_ = std::max<int>(status_, status); }

    UniqueFd socket_;
    std::map<std::uint64_t, Sender> senders_;
    std::vector<Entry> entries_;
    std::chrono::milliseconds pause_ = first_pause;
    bool napping_ = false;
    int status_ = clean;
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
    static_cast<void>(::chdir("/"));
}

/// "2 leaked shared_memory objects: a, b"; of many, the first ones.
std::string listed(const std::vector<std::string>& names) {
    constexpr std::size_t max_listed = 5;
    std::string text = std::to_string(names.size()) + " leaked shared_memory object" +
                       (names.size() == 1 ? "" : "s");
    for (std::size_t i = 0; i < std::min(names.size(), max_listed); ++i) {
        text += (i == 0 ? ": " : ", ") + names[i];
    }
    return text + (names.size() > max_listed ? ", ..." : "");
}

bool Tracker::serve() {
    // A process that has ended by now has said everything before: first the messages.
    const std::vector<std::uint64_t> ended = wait();
    if (socket_) {
        read_messages();
    }
    for (const std::uint64_t process : ended) {
        recover(process);
    }
    if (!socket_) {
        condemn_what_nobody_awaits();
    }
    sweep();
    return socket_ || !entries_.empty();
}

std::vector<std::uint64_t> Tracker::wait() {
    std::vector<pollfd> waited;
    std::vector<std::uint64_t> processes;
    for (const auto& [process, sender] : senders_) {
        if (sender.pidfd) {
            waited.push_back({.fd = sender.pidfd.get(), .events = POLLIN, .revents = 0}
            );
            processes.push_back(process);
        }
    }
    if (std::exchange(napping_, false)) {
        os::poll(waited, Deadline(nap));
    } else {
        waited.push_back({.fd = socket_.get(), .events = POLLIN, .revents = 0});
        const bool look_again =
            !socket_ ||
            std::any_of(entries_.begin(), entries_.end(), [](const Entry& one) {
                return one.condemned;
            });
        const bool happened =
            os::poll(waited, look_again ? Deadline(pause_) : Deadline(forever)) > 0;
        pause_ = happened ? first_pause : std::min(2 * pause_, longest_pause);
    }
    std::vector<std::uint64_t> ended;
    for (std::size_t i = 0; i < processes.size(); ++i) {
        if (waited[i].revents != 0) {
            ended.push_back(processes[i]);
        }
    }
    return ended;
}

void Tracker::read_messages() {
    std::array<std::byte, longest_tracker_message> packet{};
    for (;;) {
        os::ReceivedFds got;
        try {
            got = os::receive_with_fds(socket_.get(), packet, 2, Deadline(0s));
        } catch (const TimeoutError&) {
            return;
        } catch (const std::system_error& error) {
            if (error.code().value() == ECONNRESET) {
                continue;
            }
            say(std::string("a message is lost: ") + error.what());
            worse(bad_message);
            return;
        }
        if (got.bytes == 0) {
            socket_.reset();
            return;
        }
        napping_ = true;
        TrackerMessage message;
        if (got.bytes < sizeof message) {
            worse(bad_message);
            continue;
        }
        std::memcpy(&message, packet.data(), sizeof message);
        std::string name(
            reinterpret_cast<const char*>(packet.data()) + sizeof message,
            got.bytes - sizeof message
        );
        obey(message, std::move(name), std::move(got.fds));
    }
}

void Tracker::obey(
    const TrackerMessage& message, std::string name, std::vector<UniqueFd> fds
) {
    const auto same = [&](const Entry& entry) {
        return entry.id == message.id;
    };
    const auto theirs = [&](const Entry& entry) {
        return entry.process == message.process;
    };
    switch (message.word) {
    case TrackerWord::ready:
        return;
    case TrackerWord::hello: {
        Sender& sender = senders_[message.process];
        sender.pid = message.pid;
        if (!fds.empty()) {
            sender.pidfd = std::move(fds.front());
        }
        if (fds.size() > 1) {
            sender.parent_watch = std::move(fds.back());
        }
        return;
    }
    case TrackerWord::track:
        std::erase_if(entries_, same);
        entries_.push_back(
            {.name = std::move(name), .id = message.id, .process = message.process}
        );
        return;
    case TrackerWord::forget:
        std::erase_if(entries_, same);
        return;
    case TrackerWord::leave:
        // Its parent's pipe tells how long its entries are of use to others.
        if (std::any_of(entries_.begin(), entries_.end(), theirs)) {
            senders_[message.process].pidfd.reset();
        } else {
            senders_.erase(message.process);
        }
        return;
    case TrackerWord::withdraw:
        std::erase_if(entries_, theirs);
        senders_.erase(message.process);
        return;
    case TrackerWord::remove:
        remove_for_sender(message.id, fds);
        return;
    }
    worse(bad_message);
}

// Only what is on the list, and not under a name of the sender's choice: we may be
// allowed more than it is. Silence, and the end of its pipe, says that it is not done.
void Tracker::remove_for_sender(
    const os::FileId& id, std::span<const UniqueFd> answer
) {
    const auto entry = std::find_if(entries_.begin(), entries_.end(), [&](auto& one) {
        return one.id == id;
    });
    if (entry == entries_.end() || answer.size() != 1) {
        return;
    }
    try {
        os::remove_memory(entry->name, entry->id);
        entries_.erase(entry);
        const std::byte removed{1};
        os::send_all(answer.front().get(), {&removed, 1}, Deadline(0s));
    } catch (const std::exception& error) {
        say(std::string("cannot remove ") + error.what());
    }
}

// It did not say that it leaves: it was killed, or left by _exit().
void Tracker::recover(std::uint64_t process) {
    const auto found = senders_.find(process);
    if (found == senders_.end() || !found->second.pidfd) {
        return;
    }
    std::vector<std::string> names;
    for (Entry& entry : entries_) {
        if (entry.process == process) {
            entry.condemned = true;
            names.push_back(entry.name);
        }
    }
    if (!names.empty()) {
        say("process " + std::to_string(found->second.pid) + " ended with " +
            listed(names));
        worse(left_behind);
    }
    senders_.erase(found);
}

// All that could tell us something are gone. What a child left for its parent, which
// never had a part in this tracker, stays as long as the parent runs.
void Tracker::condemn_what_nobody_awaits() {
    std::vector<std::string> names;
    for (Entry& entry : entries_) {
        const auto sender = senders_.find(entry.process);
        const bool awaited =
            sender != senders_.end() && !sender->second.pidfd &&
            sender->second.parent_watch &&
            !os::wait_readable(sender->second.parent_watch.get(), Deadline(0s));
        if (!entry.condemned && !awaited) {
            entry.condemned = true;
            names.push_back(entry.name);
        }
    }
    if (!names.empty()) {
        say("left at the end: " + listed(names));
        worse(left_behind);
    }
}

void Tracker::sweep() {
    std::erase_if(entries_, [&](Entry& entry) {
        return entry.condemned ? remove(entry)
                               : !socket_ && !os::has_name(entry.name, entry.id);
    });
}

// False when it is to be tried again.
bool Tracker::remove(Entry& entry) {
    try {
        switch (os::sweep_memory(entry.name, entry.id)) {
        case os::Sweep::removed:
            return true;
        case os::Sweep::gone:
            if (!entry.was_in_use) {
                say(entry.name + ": " + std::generic_category().message(ENOENT));
            }
            return true;
        case os::Sweep::in_use:
            entry.was_in_use = true;
            return false;
        }
    } catch (const std::exception& error) {
        say(std::string("cannot remove ") + error.what());
        worse(not_removed);
    }
    return true;
}

void Tracker::say(const std::string& text) {
    const std::string line = "resource_tracker: " + text + "\n";
    static_cast<void>(::write(2, line.data(), line.size()));
}

}  // namespace

void run_resource_tracker(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    settle_in();
    try {
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
        std::exit(bad_message);
    }
}

}  // namespace mp::detail
