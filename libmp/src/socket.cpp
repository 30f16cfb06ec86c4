// SPDX-License-Identifier: BSL-1.0
#include "socket.hpp"

#include "mp/errors.hpp"

#include "check.hpp"
#include "pipe.hpp"
#include "poll.hpp"

#include <climits>

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
    int domain = 0;
    socklen_t size = sizeof domain;
    return last_error().value() == ECONNRESET &&
           ::getsockopt(fd, SOL_SOCKET, SO_DOMAIN, &domain, &size) == 0 &&
           domain == AF_UNIX;
}

// One write that does not wait beyond the deadline; negative with errno, as write(2).
ssize_t write_once(int fd, std::span<const std::byte> data, bool may_block) noexcept {
    const int flags = MSG_NOSIGNAL | (may_block ? 0 : MSG_DONTWAIT);
    const ssize_t sent = ::send(fd, data.data(), data.size(), flags);
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
        data = data.first(std::min<std::size_t>(data.size(), PIPE_BUF));
    }
    return write_quietly(fd, data);
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

}  // namespace

std::pair<UniqueFd, UniqueFd> make_socketpair(SocketKind kind) {
    std::array<int, 2> ends{};
    const int type = kind == SocketKind::stream ? SOCK_STREAM : SOCK_SEQPACKET;
    check(
        ::socketpair(AF_UNIX, type | SOCK_CLOEXEC, 0, ends.data()),
        "socketpair(AF_UNIX)"
    );
    return {UniqueFd(ends[0]), UniqueFd(ends[1])};
}

void send_all(int fd, std::span<const std::byte> data, const Deadline& deadline) {
    const bool may_block = deadline.is_forever();
    std::size_t done = 0;
    while (done < data.size()) {
        const ssize_t n = write_once(fd, data.subspan(done), may_block);
        if (n >= 0) {
            done += static_cast<std::size_t>(n);
        } else if (would_block()) {
            if (!wait_writable(fd, deadline)) {
                throw TimeoutError(progress("write timed out", done, data.size()));
            }
        } else if (!interrupted()) {
            throw_last_error("write");
        }
    }
}

std::size_t
receive_some(int fd, std::span<std::byte> buffer, const Deadline& deadline) {
    const bool may_block = deadline.is_forever();
    for (;;) {
        const ssize_t n = read_once(fd, buffer, may_block);
        if (n >= 0) {
            return static_cast<std::size_t>(n);
        }
        if (would_block()) {
            if (!wait_readable(fd, deadline)) {
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

void receive_exactly(int fd, std::span<std::byte> buffer, const Deadline& deadline) {
    std::size_t done = 0;
    while (done < buffer.size()) {
        const std::size_t n = receive_some(fd, buffer.subspan(done), deadline);
        if (n == 0 && done == 0) {
            throw EOFError("the other end is closed");
        }
        if (n == 0) {
            throw_error(
                ECONNRESET,
                progress("got end of file during message", done, buffer.size()).c_str()
            );
        }
        done += n;
    }
}

}  // namespace mp::os
