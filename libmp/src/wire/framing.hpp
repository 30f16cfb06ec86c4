// SPDX-License-Identifier: BSL-1.0
// framing: how messages are cut out of a stream of bytes, byte for byte as CPython
// does: four bytes, big-endian, for the length; -1 and eight bytes from 2 GiB on; then
// the payload.
#pragma once

#include "mp/detail/travelling_fd.hpp"

#include <array>
#include <cstddef>
#include <span>
#include <vector>

namespace mp::detail {

/// The bytes that stand before a payload.
class FrameHeader {
public:
    static constexpr std::size_t short_size = 4;
    static constexpr std::size_t long_size = 12;

    explicit FrameHeader(std::size_t payload) noexcept;

    std::span<const std::byte> span() const noexcept {
        return std::span(bytes_).first(size_);
    }

    /// What the first four bytes say, as an unsigned number: from 2^31 on it is no
    /// length.
    static std::size_t short_length(std::span<const std::byte> bytes) noexcept;

private:
    std::array<std::byte, long_size> bytes_{};
    std::size_t size_ = short_size;
};

void send_frame(int fd, std::span<const std::byte> payload);

/// On an AF_UNIX socket: `fds` go with the payload's first bytes.
void send_frame_with_fds(
    int socket, std::span<const std::byte> payload, const std::vector<UniqueFd>& fds
);

/// The length of the next payload. Throws EOFError at the end of the stream,
/// std::system_error: EBADMSG for a length that makes no sense, ECONNRESET inside.
std::size_t receive_frame_size(int fd);

/// The payload. Memory is taken for what has arrived, not for what the length promised.
/// Throws std::system_error(ECONNRESET) when the stream ends too early.
std::vector<std::byte> receive_payload(int fd, std::size_t size);

/// On an AF_UNIX socket: with the descriptors that came along.
std::vector<std::byte>
receive_payload_with_fds(int socket, std::size_t size, IncomingFds& fds);

}  // namespace mp::detail
