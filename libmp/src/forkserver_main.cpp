// SPDX-License-Identifier: BSL-1.0
#include "forkserver_main.hpp"

#include "mp/detail/bytes.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"

#include "check.hpp"
#include "child_link.hpp"
#include "exec.hpp"
#include "fd_passing.hpp"
#include "fork.hpp"
#include "forkserver_protocol.hpp"
#include "pidfd.hpp"
#include "poll.hpp"
#include "signals.hpp"
#include "socket.hpp"
#include "spawn.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <exception>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace mp::detail {
namespace {

struct ServedChild {
    std::uint64_t serial;
    pid_t pid;
    UniqueFd pidfd;
};

class Server {
public:
    explicit Server(UniqueFd socket) : socket_(std::move(socket)) {}

    /// Learns from its owner what to preload, and does it.
    void begin();

    /// One request or some ended children. False when the owner is gone.
    bool serve();

private:
    bool answer_request();
    void start_child(const ForkRequest& request, UniqueFd childs_socket);
    [[noreturn]] void become_child(UniqueFd childs_socket);
    void refuse(const ForkRequest& request, const std::string& text);
    void report_ended();
    void send(const ForkReply& reply, std::span<const int> fds = {});

    UniqueFd socket_;
    std::vector<ServedChild> children_;
};

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
    for (const ServedChild& child : children_) {
        entries.push_back({.fd = child.pidfd.get(), .events = POLLIN, .revents = 0});
    }
    os::poll(entries, Deadline(forever));
    report_ended();
    return entries.front().revents == 0 || answer_request();
}

bool Server::answer_request() {
    ForkRequest request;
    std::vector<UniqueFd> fds;
    try {
        fds = os::receive_exactly_with_fds(
            socket_.get(),
            std::as_writable_bytes(std::span(&request, 1)),
            1,
            Deadline(forever)
        );
    } catch (const EOFError&) {
        return false;
    } catch (const std::system_error& error) {
        // No number left for the child's socket. The owner learns it; the next request
        // may find one free.
        refuse(request, error.what());
        return true;
    }
    start_child(request, std::move(fds.front()));
    return true;
}

void Server::start_child(const ForkRequest& request, UniqueFd childs_socket) {
    const std::string threads = names_of_threads();
    if (!threads.empty()) {
        refuse(
            request,
            "the fork server has other threads, so its children would not be clean: " +
                threads + "; a preloaded function or a static initialiser started them"
        );
        return;
    }
    try {
        const pid_t pid = os::fork_process();
        if (pid == 0) {
            become_child(std::move(childs_socket));
        }
        UniqueFd pidfd = os::pidfd_of_new_child(pid);
        const int number = pidfd.get();
        children_.push_back({request.serial, pid, std::move(pidfd)});
        send(
            {.serial = request.serial, .kind = ForkReplyKind::started, .value = pid},
            std::span(&number, 1)
        );
    } catch (const std::system_error& error) {
        refuse(request, error.what());
    }
}

void Server::become_child(UniqueFd childs_socket) {
    socket_.reset();
    children_.clear();
    ::prctl(PR_SET_NAME, os::program_short_name());
    run_child(std::move(childs_socket));
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
    std::erase_if(children_, [&](const ServedChild& child) {
        const auto status = os::pidfd_reap(child.pidfd.get());
        if (status) {
            send(
                {.serial = child.serial,
                 .kind = ForkReplyKind::ended,
                 .value = status->code}
            );
        }
        return status.has_value();
    });
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
    try {
        Server server(std::move(socket));
        server.begin();
        while (server.serve()) {
        }
    } catch (const std::system_error& error) {
        // EPIPE when the owner went before a reply: nobody is left to tell. Who has
        // adopted us says nothing: it may be a subreaper.
        if (error.code() != std::errc::broken_pipe &&
            error.code() != std::errc::connection_reset) {
            std::fprintf(stderr, "the fork server ends: %s\n", error.what());
        }
    } catch (const std::exception& error) {
        std::fprintf(stderr, "the fork server ends: %s\n", error.what());
    }
    // Children of an application live on without their server. Its static destructors
    // and exit handlers belong to a program that never ran main: leave without them.
    std::fflush(nullptr);
    ::_exit(0);
}

}  // namespace mp::detail
