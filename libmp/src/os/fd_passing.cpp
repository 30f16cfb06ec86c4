// SPDX-License-Identifier: BSL-1.0
#include "os/fd_passing.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstring>
#include <iterator>
#include <stdexcept>
#include <string>
#include <system_error>

namespace mp::os {

namespace {

// Room for the largest legal message, so that MSG_CTRUNC never means "buffer too
// small".
constexpr std::size_t control_size =
    CMSG_SPACE(max_fds_in_message * sizeof(int)) + CMSG_SPACE(sizeof(ucred));

struct Control {
    alignas(cmsghdr) std::array<std::byte, control_size> bytes;
};

enum class As : std::uint8_t { real_user, effective_user };

void append(
    msghdr& message, cmsghdr*& at, int type, const void* data, std::size_t size
) {
    message.msg_controllen += CMSG_SPACE(size);
    at = at == nullptr ? CMSG_FIRSTHDR(&message) : CMSG_NXTHDR(&message, at);
    at->cmsg_level = SOL_SOCKET;
    at->cmsg_type = type;
    at->cmsg_len = CMSG_LEN(size);
    std::memcpy(CMSG_DATA(at), data, size);
}

msghdr header(iovec& piece) noexcept {
    msghdr message{};
    message.msg_iov = &piece;
    message.msg_iovlen = 1;
    return message;
}

// One message; returns how many bytes of `data` it took. The descriptors went along if
// that is at least one.
std::size_t send_message(
    int socket,
    std::span<const std::byte> data,
    std::span<const int> fds,
    const Deadline& deadline,
    As as = As::real_user
) {
    iovec piece = as_piece(data);
    msghdr message = header(piece);
    Control control{};
    message.msg_control = control.bytes.data();
    cmsghdr* last = nullptr;
    if (!fds.empty()) {
        append(message, last, SCM_RIGHTS, fds.data(), fds.size_bytes());
    }
    if (as == As::effective_user && ::getuid() != ::geteuid()) {
        const ucred own{.pid = ::getpid(), .uid = ::geteuid(), .gid = ::getegid()};
        append(message, last, SCM_CREDENTIALS, &own, sizeof own);
    }
    if (last == nullptr) {
        message.msg_control = nullptr;
    }
    const int flags = MSG_NOSIGNAL | (deadline.is_forever() ? 0 : MSG_DONTWAIT);
    for (;;) {
        const ssize_t sent = ::sendmsg(socket, &message, flags);
        if (sent >= 0) {
            return static_cast<std::size_t>(sent);
        }
        if (would_block()) {
            if (!wait_writable(socket, deadline)) {
                throw TimeoutError("sending descriptors timed out");
            }
        } else if (!interrupted()) {
            throw_last_error(
                ("sendmsg with " + std::to_string(fds.size()) + " descriptors").c_str()
            );
        }
    }
}

std::optional<Sender> sender_of(msghdr& message) {
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level == SOL_SOCKET && part->cmsg_type == SCM_CREDENTIALS &&
            part->cmsg_len >= CMSG_LEN(sizeof(ucred))) {
            ucred sender{};
            std::memcpy(&sender, CMSG_DATA(part), sizeof sender);
            return Sender{.pid = sender.pid, .user = sender.uid};
        }
    }
    return std::nullopt;
}

// Takes over every descriptor in the message. If there is no memory for that, closes
// them. False when one of them could not be opened again as one of ours.
bool collect(msghdr& message, std::vector<UniqueFd>& fds) {
    bool complete = true;
    std::array<UniqueFd, max_fds_in_message> came;
    std::size_t count = 0;
    for (cmsghdr* part = CMSG_FIRSTHDR(&message); part != nullptr;
         part = CMSG_NXTHDR(&message, part)) {
        if (part->cmsg_level != SOL_SOCKET || part->cmsg_type != SCM_RIGHTS) {
            continue;
        }
        const std::size_t in_part = (part->cmsg_len - CMSG_LEN(0)) / sizeof(int);
        for (std::size_t i = 0; i < in_part && count < came.size(); ++i) {
            int fd = -1;
            std::memcpy(&fd, CMSG_DATA(part) + i * sizeof(int), sizeof fd);
            came[count] = lifted(fd);
            if (came[count]) {
                ++count;
            } else {
                complete = false;
            }
        }
    }
    fds.reserve(count);
    std::move(came.data(), came.data() + count, std::back_inserter(fds));
    return complete;
}

}  // namespace

void send_with_fds(
    int socket,
    std::span<const std::byte> data,
    std::span<const int> fds,
    const Deadline& deadline
) {
    const std::size_t messages =
        (fds.size() + max_fds_in_message - 1) / max_fds_in_message;
    if (data.size() < messages) {
        throw std::invalid_argument(
            std::to_string(fds.size()) + " descriptors need at least " +
            std::to_string(messages) + " bytes to travel with, not " +
            std::to_string(data.size())
        );
    }
    while (fds.size() > max_fds_in_message) {
        send_message(socket, data.first(1), fds.first(max_fds_in_message), deadline);
        data = data.subspan(1);
        fds = fds.subspan(max_fds_in_message);
    }
    if (!fds.empty()) {
        data = data.subspan(send_message(socket, data, fds, deadline));
    }
    send_all(socket, data, deadline);
}

void send_packet(
    int socket,
    std::span<const std::byte> data,
    std::span<const int> fds,
    const Deadline& deadline
) {
    send_message(socket, data, fds, deadline, As::effective_user);
}

void name_senders(int socket) {
    const int on = 1;
    check(
        ::setsockopt(socket, SOL_SOCKET, SO_PASSCRED, &on, sizeof on),
        "setsockopt(SO_PASSCRED)"
    );
}

std::vector<int> fd_numbers(std::span<const UniqueFd> fds) {
    std::vector<int> numbers;
    numbers.reserve(fds.size());
    for (const UniqueFd& fd : fds) {
        numbers.push_back(fd.get());
    }
    return numbers;
}

ReceivedFds receive_with_fds(
    int socket,
    std::span<std::byte> buffer,
    std::size_t max_fds,
    const Deadline& deadline,
    LostFds lost
) {
    if (buffer.empty()) {
        throw std::invalid_argument("descriptors travel with at least one byte");
    }
    ReceivedFds received;
    iovec piece{.iov_base = buffer.data(), .iov_len = buffer.size()};
    // NOLINTNEXTLINE(cppcoreguidelines-pro-type-member-init): recvmsg fills it
    Control control;
    msghdr message = header(piece);
    message.msg_control = control.bytes.data();
    // While a place is held for descriptors nothing is waited for.
    const bool may_block = deadline.is_forever() && !ClosedStreamsHeld::found();
    const int flags = MSG_CMSG_CLOEXEC | (may_block ? 0 : MSG_DONTWAIT);
    for (;;) {
        message.msg_controllen = control.bytes.size();
        const ssize_t got = [&] {
            const ClosedStreamsHeld held(ClosedStreamsHeld::found());
            return ::recvmsg(socket, &message, flags);
        }();
        if (got >= 0) {
            received.bytes = static_cast<std::size_t>(got);
            break;
        }
        if (would_block()) {
            if (!wait_readable(socket, deadline)) {
                throw TimeoutError("receiving descriptors timed out");
            }
        } else if (!interrupted()) {
            throw_last_error("recvmsg");
        }
    }
    received.lost = (message.msg_flags & MSG_CTRUNC) != 0;
    if (message.msg_controllen != 0) {
        received.sender = sender_of(message);
    }
    if (message.msg_controllen != 0 && !collect(message, received.fds)) {
        received.lost = true;
    }
    if (received.lost && lost == LostFds::throws) {
        throw_error(
            EMFILE,
            ("only " + std::to_string(received.fds.size()) +
             " of the descriptors that came could be opened")
                .c_str()
        );
    }
    if (received.fds.size() > max_fds) {
        throw_error(
            EBADMSG,
            (std::to_string(received.fds.size()) + " descriptors came, expected " +
             std::to_string(max_fds))
                .c_str()
        );
    }
    return received;
}

std::optional<ReceivedFds> peek_packet(int socket, std::span<std::byte> buffer) {
    iovec piece{.iov_base = buffer.data(), .iov_len = buffer.size()};
    msghdr message = header(piece);
    // Room for the sender, who comes first, and for nothing else.
    alignas(cmsghdr) std::array<std::byte, CMSG_SPACE(sizeof(ucred))> control{};
    message.msg_control = control.data();
    message.msg_controllen = control.size();
    const ssize_t got = restarting([&] {
        return ::recvmsg(socket, &message, MSG_PEEK | MSG_DONTWAIT | MSG_CMSG_CLOEXEC);
    });
    if (got < 0) {
        if (would_block()) {
            return std::nullopt;
        }
        throw_last_error("recvmsg");
    }
    ReceivedFds seen;
    seen.bytes = static_cast<std::size_t>(got);
    if (message.msg_controllen != 0) {
        seen.sender = sender_of(message);
    }
    return seen;
}

void drop_packet(int socket) noexcept {
    std::byte first{};
    restarting([&] { return ::recv(socket, &first, 1, MSG_DONTWAIT); });
}

std::vector<UniqueFd> receive_exactly_with_fds(
    int socket, std::span<std::byte> buffer, std::size_t count, const Deadline& deadline
) {
    std::vector<UniqueFd> fds;
    fds.reserve(count);
    std::size_t done = 0;
    while (done < buffer.size()) {
        ReceivedFds part = receive_with_fds(
            socket, buffer.subspan(done), count - fds.size(), deadline
        );
        if (part.bytes == 0 && done == 0) {
            throw EOFError("the other end is closed");
        }
        if (part.bytes == 0) {
            throw_error(ECONNRESET, "got end of file during message");
        }
        done += part.bytes;
        std::move(part.fds.begin(), part.fds.end(), std::back_inserter(fds));
    }
    if (fds.size() != count) {
        throw_error(
            EBADMSG,
            (std::to_string(fds.size()) + " descriptors came, expected " +
             std::to_string(count))
                .c_str()
        );
    }
    return fds;
}

Sender
receive_from_sender(int socket, std::span<std::byte> buffer, const Deadline& deadline) {
    Sender sender;
    std::size_t done = 0;
    while (done < buffer.size()) {
        ReceivedFds part;
        try {
            part = receive_with_fds(socket, buffer.subspan(done), 0, deadline);
        } catch (const std::system_error& error) {
            if (error.code().value() != ECONNRESET) {
                throw;
            }  // It closed its end with something of ours unread: an end, too.
        }
        if (part.bytes == 0 && done == 0) {
            throw EOFError("the other end is closed");
        }
        if (part.bytes == 0) {
            throw_error(ECONNRESET, "got end of file during message");
        }
        const Sender its =
            part.sender.value_or(Sender{.pid = 0, .user = static_cast<uid_t>(-1)});
        if (done > 0 && its.user != sender.user) {
            throw_error(EBADMSG, "a message of several users");
        }
        sender = its;
        done += part.bytes;
    }
    return sender;
}

}  // namespace mp::os
