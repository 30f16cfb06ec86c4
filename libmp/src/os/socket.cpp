// SPDX-License-Identifier: BSL-1.0
#include "os/socket.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"

#include <climits>

#include <fcntl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

namespace mp::os {

namespace {

bool not_a_socket() noexcept {
    return last_error().value() == ENOTSOCK;
}

// An AF_UNIX peer that closes with our data unread makes reading report ECONNRESET
// once, after all that it had written. What it wrote is complete: a clean end. (Over
// TCP the same error may mean lost data, and stays one.)
bool is_clean_reset(int fd) noexcept {
    return last_error().value() == ECONNRESET && is_unix_socket(fd);
}

using Bytes = std::span<const std::byte>;

// One write that does not wait beyond the deadline; negative with errno, as writev(2).
ssize_t write_once(int fd, Bytes head, Bytes body, bool may_block) noexcept {
    std::array<iovec, 2> pieces{as_piece(head), as_piece(body)};
    std::span<iovec> all = pieces;
    if (head.empty()) {
        all = all.subspan(1);
    }
    if (may_block && kernel_writes_quietly()) {
        return write_quietly(fd, all);
    }
    msghdr message{};
    message.msg_iov = all.data();
    message.msg_iovlen = all.size();
    const int flags = MSG_NOSIGNAL | (may_block ? 0 : MSG_DONTWAIT);
    const ssize_t sent = ::sendmsg(fd, &message, flags);
    if (sent >= 0 || !not_a_socket()) {
        return sent;
    }
    if (!may_block) {
        // A pipe that polls writable takes PIPE_BUF bytes at once, but a blocking one
        // waits to take more.
        pollfd one{.fd = fd, .events = POLLOUT, .revents = 0};
        if (::poll(&one, 1, 0) == 0) {
            set_last_error(EAGAIN);
            return -1;
        }
        all = all.first(1);
        all[0].iov_len = std::min<std::size_t>(all[0].iov_len, PIPE_BUF);
    }
    return write_quietly(fd, all);
}

ssize_t read_once(int fd, std::span<std::byte> buffer, bool may_block) noexcept {
    if (!may_block) {
        const ssize_t got = ::recv(fd, buffer.data(), buffer.size(), MSG_DONTWAIT);
        if (got >= 0 || !not_a_socket()) {
            return got;
        }
        pollfd one{.fd = fd, .events = POLLIN, .revents = 0};
        if (::poll(&one, 1, 0) == 0) {
            set_last_error(EAGAIN);
            return -1;
        }
    }
    return ::read(fd, buffer.data(), buffer.size());
}

std::string progress(const char* what, std::size_t done, std::size_t all) {
    return std::string(what) + " after " + std::to_string(done) + " of " +
           std::to_string(all) + " bytes";
}

void fill(
    int fd, std::span<std::byte> buffer, std::size_t done, const Deadline& deadline
) {
    while (done < buffer.size()) {
        const std::size_t n = receive_some(fd, buffer.subspan(done), deadline);
        if (n == 0) {
            throw_error(
                ECONNRESET,
                progress("got end of file during message", done, buffer.size()).c_str()
            );
        }
        done += n;
    }
}

}  // namespace

std::pair<UniqueFd, UniqueFd> make_socketpair(SocketKind kind) {
    const int type = kind == SocketKind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
    return new_fd_pair("socketpair(AF_UNIX)", [type](int* ends) {
        return ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends);
    });
}

bool is_unix_socket(int fd) noexcept {
    int domain = 0;
    socklen_t size = sizeof domain;
    return ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

bool is_packet_socket(int fd) noexcept {
    int type = 0;
    socklen_t size = sizeof type;
    return is_unix_socket(fd) &&
           ::getsockopt(fd, SOL_SOCKET, SO_TYPE, &type, &size) == 0 &&
           type == SOCK_SEQPACKET;
}

void set_blocking(int fd) {
    const int flags = check(::fcntl(fd, F_GETFL), "fcntl(F_GETFL)");
    check(::fcntl(fd, F_SETFL, flags & ~O_NONBLOCK), "fcntl(F_SETFL)");
}

void send_all(int fd, Bytes data, const Deadline& deadline) {
    send_all(fd, {}, data, deadline);
}

void send_all(int fd, Bytes head, Bytes body, const Deadline& deadline) {
    const bool may_block = deadline.is_forever();
    const std::size_t size = head.size() + body.size();
    while (!head.empty() || !body.empty()) {
        const ssize_t n = write_once(fd, head, body, may_block);
        if (n >= 0) {
            const auto written = static_cast<std::size_t>(n);
            const std::size_t of_head = std::min(written, head.size());
            head = head.subspan(of_head);
            body = body.subspan(written - of_head);
        } else if (would_block()) {
            if (!wait_writable(fd, deadline)) {
                const std::size_t done = size - head.size() - body.size();
                throw TimeoutError(progress("write timed out", done, size));
            }
        } else if (!interrupted()) {
            throw_last_error("write");
        }
    }
}

std::size_t
receive_some(int fd, std::span<std::byte> buffer, const Deadline& deadline) {
    bool looked = false;
    for (;;) {
        const ssize_t n = read_once(fd, buffer, looked && deadline.is_forever());
        if (n >= 0) {
            return static_cast<std::size_t>(n);
        }
        if (would_block()) {
            if (!looked && !deadline.expired()) {
                looked = true;
                soon_readable(fd, deadline);
            } else if (!wait_readable(fd, deadline)) {
                throw TimeoutError("read timed out");
            }
        } else if (!interrupted()) {
            const std::error_code error = last_error();
            if (is_clean_reset(fd)) {
                return 0;
            }
            throw_error(error.value(), "read");
        }
    }
}

std::optional<std::size_t> try_send(int socket, Bytes data) {
    for (;;) {
        const ssize_t n = write_once(socket, {}, data, false);
        if (n >= 0) {
            return static_cast<std::size_t>(n);
        }
        if (would_block()) {
            return std::nullopt;
        }
        if (!interrupted()) {
            throw_last_error("write");
        }
    }
}

std::optional<std::size_t> try_receive(int socket, std::span<std::byte> buffer) {
    for (;;) {
        const ssize_t n = read_once(socket, buffer, false);
        if (n >= 0) {
            return static_cast<std::size_t>(n);
        }
        if (would_block()) {
            return std::nullopt;
        }
        if (!interrupted()) {
            const std::error_code error = last_error();
            if (is_clean_reset(socket)) {
                return 0;
            }
            throw_error(error.value(), "read");
        }
    }
}

void receive_exactly(int fd, std::span<std::byte> buffer, const Deadline& deadline) {
    if (buffer.empty()) {
        return;
    }
    const std::size_t first = receive_some(fd, buffer, deadline);
    if (first == 0) {
        throw EOFError("the other end is closed");
    }
    fill(fd, buffer, first, deadline);
}

void receive_rest(int fd, std::span<std::byte> buffer, const Deadline& deadline) {
    fill(fd, buffer, 0, deadline);
}

}  // namespace mp::os
