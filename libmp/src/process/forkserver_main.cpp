// SPDX-License-Identifier: BSL-1.0
// The fork server: reads requests, hands out spare children and tells how they ended.
#include "process/forkserver_main.hpp"

#include "mp/detail/bytes.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/credentials.hpp"
#include "os/exec.hpp"
#include "os/fd_passing.hpp"
#include "os/fork.hpp"
#include "os/pidfd.hpp"
#include "os/poll.hpp"
#include "os/prefault.hpp"
#include "os/signals.hpp"
#include "os/socket.hpp"
#include "process/child_link.hpp"
#include "process/child_main.hpp"
#include "process/forkserver_protocol.hpp"
#include "util/exit_function.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// Children that are forked before anybody asks for them: to hand one over takes a tenth
// of the time. Two, because pools start several at once.
constexpr std::size_t max_spares = 2;

// How long a killed child may take to go.
constexpr auto children_grace = 5s;

// How long until a child is looked at again that a debugger holds.
constexpr auto held_pause = 50ms;

// A child that waits for its message.
struct Spare {
    pid_t pid;
    UniqueFd pidfd;
    UniqueFd link;  // the other end of its socket
};

struct ServedChild {
    std::uint64_t serial;
    pid_t pid;
    UniqueFd pidfd;
    bool held = false;  ///< it has ended, and the kernel does not give it out yet
};

class Server {
public:
    explicit Server(UniqueFd socket) : socket_(std::move(socket)) {}

    /// Learns from its client what to preload, and does it.
    void begin();

    /// One request, some ended children or one new spare. False when the client is
    /// gone.
    bool serve();

    /// Ends and reaps the children that nobody will ever use; those that an application
    /// uses live on.
    void dismiss_unused() noexcept;

private:
    bool answer_request();
    void retire();
    std::vector<int> unused() const;
    void read_last_requests() noexcept;
    void hand_over(const ForkRequest& request);
    void make_spare();
    [[noreturn]] void become_child(UniqueFd childs_socket);
    void refuse(const ForkRequest& request, const std::string& text);
    void report_ended();
    void send(const ForkReply& reply, std::span<const int> fds = {});

    UniqueFd socket_;
    std::uint64_t last_request_ = 0;
    std::vector<ServedChild> children_;
    std::vector<Spare> spares_;
    // 0 after a fork failed, until the client asks for a child.
    std::size_t wanted_spares_ = max_spares;
    bool retired_ = false;
};

void kill_child(int pidfd) {
    if (!os::pidfd_ended(pidfd)) {
        os::pidfd_send_signal(pidfd, SIGKILL);
    }
}

std::string names_of_threads() {
    std::string names;
    for (const std::string& name : os::other_threads()) {
        names += (names.empty() ? "" : ", ") + name;
    }
    return names;
}

void Server::begin() {
    os::close_standard_input();
    os::restore_signals();
    ::prctl(PR_SET_NAME, "mp-forkserver");
    os::ignore_signal(SIGINT);
    std::string refusal;
    try {
        const StartMessage message = receive_start(socket_.get());
        ByteReader in(message.body);
        while (in.left() > 0) {
            reinterpret_cast<void (*)()>(const_cast<void*>(read_code_ref(in)))();
        }
    } catch (const EOFError&) {
        std::exit(0);
    } catch (const std::exception& error) {
        refusal = error.what();
    }
    send_answer(socket_.get(), refusal);
    if (!refusal.empty()) {
        std::exit(1);
    }
}

bool Server::serve() {
    std::vector<pollfd> entries{{.fd = socket_.get(), .events = POLLIN, .revents = 0}};
    // One that a debugger holds is looked at again in a while: its pidfd says no more.
    bool any_held = false;
    for (const ServedChild& child : children_) {
        const int fd = child.held ? -1 : child.pidfd.get();
        entries.push_back({.fd = fd, .events = POLLIN, .revents = 0});
        any_held = any_held || child.held;
    }
    for (const Spare& spare : spares_) {
        entries.push_back({.fd = spare.pidfd.get(), .events = POLLIN, .revents = 0});
    }
    const bool complete = spares_.size() >= wanted_spares_;
    const int ready = os::poll(
        entries,
        Deadline(
            !complete  ? Timeout(0s)
            : any_held ? Timeout(held_pause)
                       : forever
        )
    );
    if (ready == 0 && !complete) {
        try {
            make_spare();
        } catch (const std::exception&) {
            wanted_spares_ = 0;  // The next request tries again and is told why.
        }
        return true;
    }
    for (std::size_t i = 0; i < children_.size(); ++i) {
        children_[i].held = children_[i].held || entries[1 + i].revents != 0;
    }
    report_ended();
    std::erase_if(spares_, [](const Spare& spare) {
        const int pidfd = spare.pidfd.get();
        return os::pidfd_collect(pidfd).has_value() || os::pidfd_ended(pidfd);
    });
    if (entries.front().revents != 0 && !answer_request()) {
        return false;
    }
    return !retired_ || !children_.empty();
}

bool Server::answer_request() {
    ForkRequest request;
    os::Sender sender;
    try {
        sender = os::receive_from_sender(
            socket_.get(),
            std::as_writable_bytes(std::span(&request, 1)),
            Deadline(forever)
        );
    } catch (const EOFError&) {
        return false;
    }
    if (request.serial == ForkRequest::retire) {
        retire();
        return true;
    }
    if (retired_) {
        refuse(request, "another fork server has taken its place");
        return true;
    }
    // The client is another user by now, and has less rights than a child would have.
    if (!os::is_relative_of_own_user_or_root(sender.user)) {
        retire();
        refuse(
            request,
            "a fork server of user " + std::to_string(::geteuid()) +
                " forks nothing for user " + std::to_string(sender.user)
        );
        return true;
    }
    last_request_ = request.serial;
    wanted_spares_ = max_spares;
    try {
        if (spares_.empty()) {
            make_spare();
        }
    } catch (const std::exception& error) {
        refuse(request, error.what());
        return true;
    }
    hand_over(request);
    return true;
}

// For ever: the client may have become less trusted than it was when it started us.
void Server::retire() {
    retired_ = true;
    wanted_spares_ = 0;
    for (const int pidfd : unused()) {
        kill_child(pidfd);
    }
}

// Those that have run no code of the program. The client asks ahead: the child of its
// last request has not begun, for a client that uses it asks for the next one first.
std::vector<int> Server::unused() const {
    std::vector<int> pidfds;
    for (const Spare& spare : spares_) {
        pidfds.push_back(spare.pidfd.get());
    }
    for (const ServedChild& child : children_) {
        if (child.serial == last_request_) {
            pidfds.push_back(child.pidfd.get());
        }
    }
    return pidfds;
}

void Server::hand_over(const ForkRequest& request) {
    // The eldest: it has had the most time to begin.
    Spare spare = std::move(spares_.front());
    spares_.erase(spares_.begin());
    const std::array<int, 2> fds{spare.pidfd.get(), spare.link.get()};
    children_.push_back(
        {.serial = request.serial, .pid = spare.pid, .pidfd = std::move(spare.pidfd)}
    );
    send(
        {.serial = request.serial, .kind = ForkReplyKind::started, .value = spare.pid},
        fds
    );
}

void Server::make_spare() {
    const std::string threads = names_of_threads();
    if (!threads.empty()) {
        throw SpawnError(
            SpawnStage::forkserver,
            "the fork server has other threads, so its children would not be clean: " +
                threads + "; a preloaded function or a static initialiser started them"
        );
    }
    auto [ours, childs] = os::make_socketpair(os::SocketKind::stream);
    os::name_senders(childs.get());
    const pid_t pid = os::fork_process();
    if (pid == 0) {
        ours.reset();
        become_child(std::move(childs));
    }
    spares_.push_back({pid, os::pidfd_of_new_child(pid), std::move(ours)});
}

void Server::become_child(UniqueFd childs_socket) {
    // The objects and exit handlers of this program are the server's. Its children are
    // forked without other threads beside.
    own_exit_of_forked_child(true);
    socket_.reset();
    children_.clear();
    spares_.clear();
    ::prctl(PR_SET_NAME, os::program_short_name());
    os::prefault_code();
    run_child(std::move(childs_socket));
}

// Those that came before the end of the stream: what they say of the children before
// them counts.
void Server::read_last_requests() noexcept {
    try {
        for (;;) {
            ForkRequest request;
            const auto room = std::as_writable_bytes(std::span(&request, 1));
            const os::Sender sender =
                os::receive_from_sender(socket_.get(), room, Deadline(0s));
            if (request.serial != ForkRequest::retire &&
                os::is_relative_of_own_user_or_root(sender.user)) {
                last_request_ = request.serial;
            }
        }
    } catch (const std::exception&) {
        // That was the last one.
    }
}

void Server::dismiss_unused() noexcept {
    read_last_requests();
    // Killed: none of them has run any code of the program yet, and on a busy machine a
    // child that ends by itself may take long to.
    try {
        const std::vector<int> killed = unused();
        for (const int pidfd : killed) {
            kill_child(pidfd);
        }
        const Deadline deadline(children_grace);
        for (const int pidfd : killed) {
            os::wait_readable(pidfd, deadline);
            os::pidfd_collect(pidfd);
        }
        for (const ServedChild& child : children_) {
            os::pidfd_collect(child.pidfd.get());
        }
    } catch (const std::exception&) {
        // They end by themselves when nobody holds the other end of their sockets.
    }
    spares_.clear();
    children_.clear();
}

void Server::refuse(const ForkRequest& request, const std::string& text) {
    send(
        {.serial = request.serial,
         .kind = ForkReplyKind::refused,
         .value = static_cast<std::int32_t>(text.size())}
    );
    os::send_all(socket_.get(), std::as_bytes(std::span(text)), Deadline(forever));
}

void Server::report_ended() {
    std::vector<ForkReply> replies;
    std::erase_if(children_, [&](const ServedChild& child) {
        const auto status = os::pidfd_collect_status(child.pidfd.get());
        if (status) {
            replies.push_back(
                {.serial = child.serial,
                 .kind = ForkReplyKind::ended,
                 .value = status->code,
                 .peak_memory_bytes = status->peak_memory_bytes,
                 .cpu_microseconds =
                     static_cast<std::uint64_t>(status->cpu_time.count()),
                 .dumped_core = status->dumped_core ? 1U : 0U}
            );
        }
        return status.has_value();
    });
    // Only now, when the list is whole: it throws if the client is gone.
    for (const ForkReply& reply : replies) {
        send(reply);
    }
}

void Server::send(const ForkReply& reply, std::span<const int> fds) {
    const auto bytes = std::as_bytes(std::span(&reply, 1));
    if (fds.empty()) {
        os::send_all(socket_.get(), bytes, Deadline(forever));
    } else {
        os::send_with_fds(socket_.get(), bytes, fds, Deadline(forever));
    }
}

}  // namespace

void run_fork_server(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    Server server(std::move(socket));
    try {
        server.begin();
        while (server.serve()) {
        }
    } catch (const std::system_error& error) {
        // EPIPE when the client went before a reply: nobody is left to tell. Which
        // process has adopted us says nothing: it may be a subreaper.
        if (!os::peer_is_gone(error)) {
            std::fprintf(stderr, "the fork server ends: %s\n", error.what());
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "the fork server ends: %s\n", error.what());
    }
    server.dismiss_unused();
    // Children of an application live on without their server. What static initialisers
    // and preloaded functions made here is this process's to destroy.
    std::exit(0);
}

}  // namespace mp::detail
