// SPDX-License-Identifier: BSL-1.0
// The steps of a handshake: which side sends what, and what it accepts.
#include "wire/handshake.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/hmac.hpp"
#include "os/poll.hpp"
#include "os/socket.hpp"
#include "wire/challenge.hpp"
#include "wire/framing.hpp"

#include <algorithm>
#include <string>
#include <string_view>
#include <utility>

namespace mp::detail {

namespace {

constexpr std::string_view challenge_tag = "#CHALLENGE#";
constexpr std::string_view welcome = "#WELCOME#";
constexpr std::string_view failure = "#FAILURE#";
constexpr std::size_t longest_message = 256;

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return {bytes.begin(), bytes.end()};
}

bool is(std::span<const std::byte> message, std::string_view text) noexcept {
    const auto expected = std::as_bytes(std::span(text.data(), text.size()));
    return std::equal(message.begin(), message.end(), expected.begin(), expected.end());
}

using Bytes = std::span<const std::byte>;

Md5 md5_of(HandshakeRules rules) noexcept {
    return rules.allow_md5 ? Md5::allowed : Md5::refused;
}

std::vector<std::byte> new_challenge(HandshakeSide side) {
    return marked_challenge(side, new_nonce());
}

}  // namespace

Handshake::Handshake(HandshakeSide side, AuthenticationString key, HandshakeRules rules)
    : Handshake(
          HandshakePart::whole,
          Binding{
              .side = side,
              .peer_is_ours = false,
              .server_challenge = {},
              .client_challenge = {}},
          std::move(key),
          rules
      ) {}

Handshake::Handshake(
    HandshakePart part, Binding binding, AuthenticationString key, HandshakeRules rules
)
    : key_(std::move(key)), rules_(rules), binding_(std::move(binding)) {
    using enum Step;
    static constexpr std::array all{
        send_challenge,
        receive_response,
        send_verdict,
        receive_challenge,
        send_response,
        receive_verdict,
        send_challenge,
        receive_response,
        send_verdict};
    constexpr std::size_t half = 3;
    const std::span steps(all);
    steps_ = binding_.side == HandshakeSide::server ? steps.first(2 * half)
                                                    : steps.last(2 * half);
    if (part == HandshakePart::first) {
        steps_ = steps_.first(half);
    } else if (part == HandshakePart::second) {
        steps_ = steps_.last(half);
    }
    // Not in the midst of it, when the other side would be told of a wrong key.
    os::load_crypto();
}

Handshake::Wants Handshake::advance(int socket) {
    bool spoke = false;
    for (;;) {
        if (!outgoing_.empty()) {
            const auto n = os::try_send(socket, std::span(outgoing_).subspan(sent_));
            if (!n) {
                return Wants::writing;
            }
            sent_ += *n;
            if (sent_ == outgoing_.size()) {
                outgoing_.clear();
                spoke = true;
                MP_FAILPOINT("handshake: sent");
                if (refusal_) {
                    std::rethrow_exception(refusal_);
                }
            }
        } else if (step_ == steps_.size()) {
            return Wants::nothing;
        } else if (sends()) {
            const auto message = message_to_send();
            const FrameHeader header(message.size());
            outgoing_.assign(header.span().begin(), header.span().end());
            outgoing_.insert(outgoing_.end(), message.begin(), message.end());
            sent_ = 0;
            ++step_;
        } else if (const auto message = whole_message()) {
            take_message(*message);
            received_ = 0;
            ++step_;
            MP_FAILPOINT("handshake: taken");
        } else if (spoke) {
            return Wants::reading;  // the answer needs a moment: do not even look
        } else {
            const auto room = std::span(incoming_).first(longest_frame());
            const auto n = os::try_receive(socket, room.subspan(received_));
            if (!n) {
                return Wants::reading;
            }
            if (*n == 0) {
                throw EOFError("the other end was closed during the handshake");
            }
            received_ += *n;
        }
    }
}

void Handshake::run(int socket, const Deadline& deadline) {
    for (;;) {
        const Wants wants = advance(socket);
        if (wants == Wants::nothing) {
            return;
        }
        if (!(wants == Wants::reading ? os::wait_soon_readable(socket, deadline)
                                      : os::wait_writable(socket, deadline))) {
            throw TimeoutError("the handshake timed out: the other side is silent");
        }
    }
}

bool Handshake::sends() const noexcept {
    const Step step = steps_[step_];
    return step == Step::send_challenge || step == Step::send_verdict ||
           step == Step::send_response;
}

std::vector<std::byte> Handshake::message_to_send() {
    switch (steps_[step_]) {
    case Step::send_challenge: {
        const std::vector<std::byte> challenge = own_challenge();
        std::vector<std::byte> message = bytes_of(challenge_tag);
        message.insert(message.end(), challenge.begin(), challenge.end());
        return message;
    }
    case Step::send_response:
        return own_response();
    default:
        return bytes_of(refusal_ ? failure : welcome);
    }
}

std::vector<std::byte> Handshake::own_challenge() {
    if (binding_.side == HandshakeSide::server) {
        return binding_.server_challenge = new_challenge(HandshakeSide::server);
    }
    // One of ours has had its nonce already, with the response.
    if (!binding_.peer_is_ours) {
        binding_.client_challenge = new_challenge(HandshakeSide::client);
    }
    return binding_.client_challenge;
}

std::vector<std::byte> Handshake::own_response() const {
    const bool serves = binding_.side == HandshakeSide::server;
    if (binding_.peer_is_ours) {
        return serves ? server_response(key_, binding_)
                      : client_response(key_, binding_);
    }
    return create_response(
        key_,
        serves ? binding_.client_challenge : binding_.server_challenge,
        md5_of(rules_)
    );
}

void Handshake::take_message(Message message) {
    switch (steps_[step_]) {
    case Step::receive_challenge: {
        const std::size_t tag = std::min(message.size(), challenge_tag.size());
        if (!is(message.first(tag), challenge_tag)) {
            throw HandshakeBreach("what came is no challenge");
        }
        take_challenge(message.subspan(tag));
        break;
    }
    case Step::receive_response:
        judge(message);
        break;
    default:
        take_verdict(message);
    }
}

// A challenge of ours is answered in our way by the side that it is meant for, and by
// nobody else in any way: then nobody who passes it on gets an answer to it.
void Handshake::take_challenge(Message challenge) {
    const std::optional<HandshakeSide> mark = marked_by(challenge);
    if (binding_.side == HandshakeSide::client) {
        if (mark == HandshakeSide::client) {
            throw AuthenticationError(
                "the server sent a challenge that a client made: somebody passes on "
                "what others say"
            );
        }
        if (!mark && !rules_.allow_cpython) {
            throw AuthenticationError(
                "the server is not one of ours, and .allow_cpython is false"
            );
        }
        binding_.peer_is_ours = mark.has_value();
        binding_.server_challenge.assign(challenge.begin(), challenge.end());
        if (mark) {
            binding_.client_challenge = new_challenge(HandshakeSide::client);
        }
    } else if (binding_.peer_is_ours) {
        if (!std::equal(
                challenge.begin(),
                challenge.end(),
                binding_.client_challenge.begin(),
                binding_.client_challenge.end()
            )) {
            throw HandshakeBreach("the client's challenge is not the one it announced");
        }
    } else if (mark) {
        throw AuthenticationError(
            "the client began as CPython and went on as one of ours: somebody is "
            "between"
        );
    } else {
        binding_.client_challenge.assign(challenge.begin(), challenge.end());
    }
}

void Handshake::take_verdict(Message verdict) const {
    if (is(verdict, failure)) {
        throw AuthenticationError(
            "the digest sent was rejected: the other side has another key, or allows "
            "less"
        );
    }
    if (!is(verdict, welcome)) {
        throw HandshakeBreach("what came is no verdict");
    }
}

// A wrong answer is told to the other side before it is thrown here.
void Handshake::judge(Message response) {
    try {
        check_response(response);
        proven_ = true;
    } catch (const AuthenticationError&) {
        refusal_ = std::current_exception();
    }
}

void Handshake::check_response(Message response) {
    const bool serves = binding_.side == HandshakeSide::server;
    if (serves && is_bound(response)) {
        take_client_response(key_, binding_, response);
        binding_.peer_is_ours = true;
    } else if (!serves && binding_.peer_is_ours) {
        check_server_response(key_, binding_, response);
    } else {
        if (!rules_.allow_cpython) {
            throw AuthenticationError(
                "the other side is not one of ours, and .allow_cpython is false"
            );
        }
        verify_response(
            key_,
            serves ? binding_.server_challenge : binding_.client_challenge,
            response,
            md5_of(rules_)
        );
    }
}

// Never more than what the other side may send at this step: behind its verdict come
// the messages of the connection.
std::size_t Handshake::longest_frame() const noexcept {
    return FrameHeader::short_size +
           (steps_[step_] == Step::receive_verdict ? welcome.size() : longest_message);
}

std::optional<Handshake::Message> Handshake::whole_message() const {
    const auto came = std::span(incoming_).first(received_);
    if (came.size() < FrameHeader::short_size) {
        return std::nullopt;
    }
    const std::size_t size = FrameHeader::short_length(came);
    const std::size_t longest = longest_frame() - FrameHeader::short_size;
    if (size > longest) {
        throw HandshakeBreach(
            "a message of the handshake is longer than " + std::to_string(longest) +
            " bytes"
        );
    }
    const auto message = came.subspan(FrameHeader::short_size);
    if (message.size() < size) {
        return std::nullopt;
    }
    if (message.size() > size) {
        throw HandshakeBreach("the other side does not wait for its turn");
    }
    return message;
}

}  // namespace mp::detail
