// SPDX-License-Identifier: BSL-1.0
// The part of Connection that carries bytes, and Pipe.
#include "mp/connection.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/pipe.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "wire/connection_state.hpp"
#include "wire/framing.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <system_error>

namespace mp {

namespace {

// No socket and no pipe holds more: what comes after so much was not there when the
// time was over.
constexpr std::size_t most_after_deadline = std::size_t{16} << 20;

}  // namespace

void Connection::Use::pass_over(const Deadline& deadline) const {
    std::array<std::byte, 16384> nowhere;
    std::size_t late = 0;
    for (std::uint64_t left = state_->unread(); left != 0;) {
        if (late >= most_after_deadline) {
            throw TimeoutError("a refused message goes on and on");
        }
        const auto part = std::min<std::uint64_t>(left, nowhere.size());
        const std::size_t got = os::receive_some(
            fd(), std::span(nowhere).first(static_cast<std::size_t>(part)), deadline
        );
        if (got == 0) {
            os::throw_error(ECONNRESET, "got end of file during message");
        }
        left -= got;
        state_->set_unread(left);
        if (deadline.expired()) {
            late += got;
        }
    }
}

// So that wait() does not report a message that is not there.
void Connection::Use::pass_over_what_came() const {
    try {
        pass_over(Deadline(std::chrono::seconds(0)));
    } catch (const TimeoutError&) {
        // The rest is for the next call.
    } catch (const std::system_error&) {
        // The next call has the same error.
    }
}

Connection::Connection(UniqueFd fd, Direction direction)
    : Connection(
          std::move(fd),
          ConnectionOptions{.direction = direction, .max_message_size = std::nullopt}
      ) {}

Connection::Connection(UniqueFd fd, ConnectionOptions options) {
    if (!fd) {
        throw std::invalid_argument("a Connection needs a descriptor");
    }
    state_ = std::make_shared<State>(
        std::move(fd),
        options.direction,
        options.max_message_size.value_or(any_length),
        0
    );
}

void Connection::send_bytes(
    std::span<const std::byte> data, std::size_t offset, std::optional<std::size_t> size
) {
    const Use use(*this, Direction::write);
    if (offset > data.size() || (size && *size > data.size() - offset)) {
        throw std::invalid_argument(
            "cannot send " +
            (size ? std::to_string(*size) + " bytes " : std::string()) +
            "from offset " + std::to_string(offset) + " of " +
            std::to_string(data.size()) + " bytes"
        );
    }
    const auto message = data.subspan(offset, size.value_or(std::dynamic_extent));
    detail::send_frame(use.fd(), message);
}

std::vector<std::byte> Connection::recv_bytes(std::optional<std::size_t> maxlength) {
    const Use use(*this, Direction::read);
    const std::size_t size = use.receive_size(maxlength);
    return use.in_step([&] { return detail::receive_payload(use.fd(), size); });
}

std::size_t
Connection::recv_bytes_into(std::span<std::byte> buffer, std::size_t offset) {
    const Use use(*this, Direction::read);
    if (offset > buffer.size()) {
        throw std::invalid_argument(
            "offset " + std::to_string(offset) + " is outside of a buffer of " +
            std::to_string(buffer.size()) + " bytes"
        );
    }
    buffer = buffer.subspan(offset);
    const std::size_t size = use.receive_size();
    std::vector<std::byte> too_long = use.in_step([&] {
        if (size > buffer.size()) {
            return detail::receive_payload(use.fd(), size);
        }
        os::receive_rest(use.fd(), buffer.first(size), Deadline(forever));
        return std::vector<std::byte>();
    });
    if (size > buffer.size()) {
        throw BufferTooShort(std::move(too_long));
    }
    return size;
}

bool Connection::poll(Timeout timeout) const {
    const Use use(*this, Direction::read);
    const Deadline deadline(timeout);
    if (use.state().unread() != 0) {
        // What is refused is not there to be received.
        try {
            use.pass_over_refused(deadline);
        } catch (const TimeoutError&) {
            return false;
        } catch (const std::system_error&) {
            return true;
        }
    }
    return os::wait_soon_readable(use.fd(), deadline);
}

std::optional<std::size_t> Connection::max_message_size() const noexcept {
    const std::uint64_t longest = state_ ? state_->longest() : any_length;
    if (longest == any_length) {
        return std::nullopt;
    }
    return static_cast<std::size_t>(longest);
}

void Connection::set_max_message_size(std::optional<std::size_t> size) {
    if (!state_) {
        os::throw_error(EBADF, "the connection is closed");
    }
    state_->set_longest(size.value_or(any_length));
}

int Connection::fileno() const {
    if (closed()) {
        os::throw_error(EBADF, "the connection is closed");
    }
    return state_->fd();
}

bool Connection::readable() const noexcept {
    return state_ && state_->allows(Direction::read);
}

bool Connection::writable() const noexcept {
    return state_ && state_->allows(Direction::write);
}

bool Connection::closed() const noexcept {
    return !state_ || state_->is_closed();
}

void Connection::close() noexcept {
    if (state_) {
        state_->close();
    }
}

Pipe::Pipe(Duplex duplex) {
    if (duplex == Duplex::yes) {
        auto [a, b] = os::make_socketpair(os::SocketKind::stream);
        first = Connection(std::move(a));
        second = Connection(std::move(b));
    } else {
        auto [reader, writer] = os::make_pipe();
        first = Connection(std::move(reader), Direction::read);
        second = Connection(std::move(writer), Direction::write);
    }
}

}  // namespace mp
