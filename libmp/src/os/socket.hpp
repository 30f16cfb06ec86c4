// SPDX-License-Identifier: BSL-1.0
// socket: connected pairs, and reading and writing exactly as much as is wanted.
// The transfers work on pipes too, blocking and non-blocking descriptors alike; they
// survive signals and short transfers and never raise SIGPIPE. A deadline in the past
// moves what can be moved without blocking, then gives up.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <utility>

namespace mp::os {

enum class SocketKind { stream, seqpacket };

/// socketpair(AF_UNIX), close-on-exec: two equal ends.
std::pair<UniqueFd, UniqueFd> make_socketpair(SocketKind kind);

/// Whether `fd` is an AF_UNIX socket, over which descriptors can travel.
bool is_unix_socket(int fd) noexcept;

/// Whether it is one of SocketKind::seqpacket.
bool is_packet_socket(int fd) noexcept;

/// Calls wait again, on this open file.
void set_blocking(int fd);

/// Writes all of `data`. On a seqpacket socket that is one message.
/// Throws std::system_error (EPIPE: nobody reads any more), TimeoutError at the
/// deadline: then a part may be written, and the stream is out of step.
void send_all(int fd, std::span<const std::byte> data, const Deadline& deadline);

/// Writes `head`, then `body`, as one piece where the system allows.
void send_all(
    int fd,
    std::span<const std::byte> head,
    std::span<const std::byte> body,
    const Deadline& deadline
);

/// Reads what there is, at least one byte; waits for it. 0 is the end of the stream.
/// Throws std::system_error, TimeoutError.
std::size_t receive_some(int fd, std::span<std::byte> buffer, const Deadline& deadline);

/// The same on sockets, without waiting: nullopt when nothing can be moved now.
std::optional<std::size_t> try_send(int socket, std::span<const std::byte> data);
std::optional<std::size_t> try_receive(int socket, std::span<std::byte> buffer);

/// Fills `buffer`. Throws EOFError when the stream ends before the first byte,
/// std::system_error(ECONNRESET, "got end of file during message") when it ends later,
/// TimeoutError at the deadline: then a part may be read, and the stream is out of
/// step.
void receive_exactly(int fd, std::span<std::byte> buffer, const Deadline& deadline);

/// receive_exactly for the middle of a message: the end of the stream is
/// std::system_error(ECONNRESET) before the first byte, too.
void receive_rest(int fd, std::span<std::byte> buffer, const Deadline& deadline);

}  // namespace mp::os
