// SPDX-License-Identifier: BSL-1.0
// The part of Connection that carries objects and descriptors.
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "wire/connection_state.hpp"
#include "wire/framing.hpp"

#include <string>

namespace mp {

namespace {

[[noreturn]] void throw_decode_error(const std::string& what) {
    throw SerializationError(SerializationPhase::decode, what);
}

}  // namespace

bool Connection::carries_fds() const noexcept {
    return state_ && state_->carries_fds();
}

void Connection::send_message(
    std::span<const std::byte> message, const detail::OutgoingFds& fds
) {
    const Use use(*this, Direction::write);
    if (fds.fds().empty()) {
        detail::send_frame(use.fd(), message);
    } else {
        detail::send_frame_with_fds(use.fd(), message, fds.fds());
    }
}

std::vector<std::byte> Connection::recv_message(detail::IncomingFds& fds) {
    const Use use(*this, Direction::read);
    const std::size_t size = use.receive_size();
    return use.in_step([&] {
        return carries_fds() ? detail::receive_payload_with_fds(use.fd(), size, fds)
                             : detail::receive_payload(use.fd(), size);
    });
}

void Connection::check_tag(
    detail::ByteReader& message, std::uint64_t tag, std::string_view type
) {
    if (message.left() < sizeof tag || message.get_value<std::uint64_t>() != tag) {
        throw_decode_error(
            "the message received is not a " + std::string(type) +
            " sent by send() of this library"
        );
    }
}

void Connection::check_end(const detail::ByteReader& message, std::string_view type) {
    if (message.left() != 0) {
        throw_decode_error(
            std::to_string(message.left()) + " bytes are left of a message after its " +
            std::string(type)
        );
    }
}

Connection::Travelling Connection::hand_over() const {
    const std::shared_ptr<State> state = state_;
    if (!state || !state->enter()) {
        os::throw_error(EBADF, "a closed connection cannot travel");
    }
    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    struct Leave {
        State& state;

        ~Leave() { state.leave(); }
    } const leave{*state};
    return {
        .number = detail::save_fd(state, state->fd(), "a Connection"),
        .direction = static_cast<std::uint8_t>(state->direction()),
        .longest = state->longest(),
        .unread = state->unread()};
}

void Connection::take_over(const Travelling& end) {
    if (end.direction < static_cast<std::uint8_t>(Direction::read) ||
        end.direction > static_cast<std::uint8_t>(Direction::both)) {
        throw_decode_error(
            "a Connection with direction " + std::to_string(end.direction) +
            ", which does not exist"
        );
    }
    UniqueFd fd = detail::load_fd(end.number);
    if (!fd) {
        throw_decode_error("a Connection without a descriptor");
    }
    state_ = std::make_shared<State>(
        std::move(fd), static_cast<Direction>(end.direction), end.longest, end.unread
    );
}

}  // namespace mp
