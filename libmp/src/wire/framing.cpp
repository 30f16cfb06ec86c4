// SPDX-License-Identifier: BSL-1.0
// Messages onto a stream, and off it again.
#include "wire/framing.hpp"

#include "os/check.hpp"
#include "os/failpoint.hpp"
#include "os/fd_passing.hpp"
#include "os/socket.hpp"

#include <sys/types.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <cstdint>
#include <limits>
#include <string>
#include <utility>

namespace mp::detail {

namespace {

using Bytes = std::span<const std::byte>;

const Deadline no_end(forever);

constexpr std::size_t longest_short = 0x7fffffff;
constexpr std::size_t first_piece = std::size_t{1} << 20;

template <class T>
void put_big_endian(std::byte* to, T value) noexcept {
    for (std::size_t i = sizeof value; i-- > 0;) {
        to[i] = static_cast<std::byte>(value & 0xff);
        value = static_cast<T>(value >> 8);
    }
}

template <class T>
T get_big_endian(const std::byte* from) noexcept {
    T value = 0;
    for (std::size_t i = 0; i < sizeof value; ++i) {
        value = static_cast<T>(value << 8 | std::to_integer<T>(from[i]));
    }
    return value;
}

template <class Int>
[[noreturn]] void throw_bad_length(Int length) {
    os::throw_error(EBADMSG, ("bad message length: " + std::to_string(length)).c_str());
}

template <class Fill>
std::vector<std::byte> receive_growing(std::size_t size, Fill fill) {
    std::vector<std::byte> payload(std::min(size, first_piece));
    std::size_t done = 0;
    for (;;) {
        fill(std::span(payload).subspan(done));
        done = payload.size();
        if (done == size) {
            return payload;
        }
        payload.resize(size - done < done ? size : 2 * done);
    }
}

}  // namespace

FrameHeader::FrameHeader(std::size_t payload) noexcept {
    if (payload <= longest_short) {
        put_big_endian(bytes_.data(), static_cast<std::uint32_t>(payload));
    } else {
        put_big_endian(bytes_.data(), std::uint32_t{0xffffffff});
        put_big_endian(bytes_.data() + short_size, static_cast<std::uint64_t>(payload));
        size_ = long_size;
    }
}

std::size_t FrameHeader::short_length(Bytes bytes) noexcept {
    return get_big_endian<std::uint32_t>(bytes.data());
}

void send_frame(int fd, Bytes payload) {
    os::send_all(fd, FrameHeader(payload.size()).span(), payload, no_end);
}

void send_frame_with_fds(int socket, Bytes payload, const std::vector<UniqueFd>& fds) {
    // First what can throw: after the header, the stream would be out of step.
    const std::vector<int> numbers = os::fd_numbers(fds);
    os::send_all(socket, FrameHeader(payload.size()).span(), no_end);
    MP_FAILPOINT("frame: head sent");
    os::send_with_fds(socket, payload, numbers, no_end);
}

std::size_t receive_frame_size(int fd) {
    std::array<std::byte, FrameHeader::short_size> head{};
    os::receive_exactly(fd, head, no_end);
    MP_FAILPOINT("frame: head taken");
    const auto length =
        static_cast<std::int32_t>(get_big_endian<std::uint32_t>(head.data()));
    if (length >= 0) {
        return static_cast<std::size_t>(length);
    }
    if (length != -1) {
        throw_bad_length(length);
    }
    std::array<std::byte, sizeof(std::uint64_t)> rest{};
    os::receive_rest(fd, rest, no_end);
    const auto size = get_big_endian<std::uint64_t>(rest.data());
    if (size > static_cast<std::uint64_t>(std::numeric_limits<ssize_t>::max())) {
        throw_bad_length(size);
    }
    return size;
}

std::vector<std::byte> receive_payload(int fd, std::size_t size) {
    return receive_growing(size, [&](std::span<std::byte> part) {
        os::receive_rest(fd, part, no_end);
    });
}

std::vector<std::byte>
receive_payload_with_fds(int socket, std::size_t size, IncomingFds& fds) {
    return receive_growing(size, [&](std::span<std::byte> part) {
        while (!part.empty()) {
            os::ReceivedFds came =
                os::receive_with_fds(socket, part, os::max_fds_in_message, no_end);
            if (came.bytes == 0) {
                os::throw_error(ECONNRESET, "got end of file during message");
            }
            part = part.subspan(came.bytes);
            fds.add(std::move(came.fds));
        }
    });
}

}  // namespace mp::detail
