// SPDX-License-Identifier: BSL-1.0
// fd_passing: sends open descriptors to another process over an AF_UNIX socket
// (SCM_RIGHTS). Whatever fails, no descriptor stays open that has no owner.
#pragma once

#include "mp/fd.hpp"
#include "mp/timeout.hpp"

#include <sys/types.h>

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mp::os {

/// The kernel's limit for one message (SCM_MAX_FD).
inline constexpr std::size_t max_fds_in_message = 253;

/// Who sent a message, as the kernel says.
struct Sender {
    pid_t pid = 0;  ///< 0 for one outside of our pid namespace
    uid_t user = 0;
};

struct ReceivedFds {
    /// 0 is the end of the stream; with a sender, an empty packet.
    std::size_t bytes = 0;
    std::vector<UniqueFd> fds;
    bool lost = false;  ///< some could not be opened: too many are open here
    std::optional<Sender> sender{};  ///< where name_senders() was called in time
};

/// Messages that are sent to this socket from now on come with their sender. Throws
/// std::system_error.
void name_senders(int socket);

/// What to do about descriptors that came and could not be opened.
enum class LostFds : std::uint8_t { throws, are_told };

/// Sends `data` and copies of `fds`, in one message; more than 253 go in several, each
/// with one byte of `data` and the last with the rest, so `data` needs a byte for each.
/// The caller keeps its descriptors.
/// Throws std::system_error (EPIPE: the receiver is gone; EBADF; ETOOMANYREFS: too many
/// descriptors are on their way), TimeoutError, std::invalid_argument.
void send_with_fds(
    int socket,
    std::span<const std::byte> data,
    std::span<const int> fds,
    const Deadline& deadline
);

/// Sends one packet, empty or not, with at most 253 descriptors, from the effective
/// user of this process: by itself the kernel names the real one. Throws as
/// send_with_fds.
void send_packet(
    int socket,
    std::span<const std::byte> data,
    std::span<const int> fds,
    const Deadline& deadline
);

/// For send_with_fds, of descriptors that stay their owner's.
std::vector<int> fd_numbers(std::span<const UniqueFd> fds);

/// Receives what one message brings: some bytes and at most `max_fds` descriptors,
/// close-on-exec. Waits for it.
/// Throws std::system_error: EMFILE when this process has no numbers left for them,
/// EBADMSG when more came than wanted; in both cases all that came are closed and the
/// bytes are consumed. TimeoutError. With LostFds::are_told the first is no exception.
ReceivedFds receive_with_fds(
    int socket,
    std::span<std::byte> buffer,
    std::size_t max_fds,
    const Deadline& deadline,
    LostFds lost = LostFds::throws
);

/// Looks at the next packet and who sent it; both stay where they are, and no
/// descriptor is opened. Nothing when none has come. Throws std::system_error.
std::optional<ReceivedFds> peek_packet(int socket, std::span<std::byte> buffer);

/// Does away with the next packet. Descriptors that came with it are never opened here:
/// close(2) of one can be made to wait for ever, and what the kernel lets go of is not
/// flushed.
void drop_packet(int socket) noexcept;

/// The counterpart of send_with_fds: fills `buffer` and returns exactly `count`
/// descriptors. Throws as receive_with_fds; EOFError when the stream ends before the
/// first byte, std::system_error(ECONNRESET) later; std::system_error(EBADMSG) when the
/// bytes came without their descriptors.
std::vector<UniqueFd> receive_exactly_with_fds(
    int socket, std::span<std::byte> buffer, std::size_t count, const Deadline& deadline
);

/// Fills `buffer`, and says who sent it. name_senders() was called before that was
/// sent. Throws as receive_exactly_with_fds without descriptors;
/// std::system_error(EBADMSG) when several users sent a part.
Sender
receive_from_sender(int socket, std::span<std::byte> buffer, const Deadline& deadline);

}  // namespace mp::os
