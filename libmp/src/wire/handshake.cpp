// SPDX-License-Identifier: BSL-1.0
// The steps of a handshake: which side sends what, and what it accepts.
#include "wire/handshake.hpp"

#include "mp/errors.hpp"

#include "os/failpoint.hpp"
#include "os/poll.hpp"
#include "os/random.hpp"
#include "os/socket.hpp"
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
// What we challenge with. CPython 3.12 and newer answer with this digest, older ones
// take all of it for a challenge of theirs and answer with MD5.
constexpr std::string_view challenge_prefix = "{sha256}";
constexpr std::size_t challenge_randomness = 40;
constexpr std::size_t longest_message = 256;

std::vector<std::byte> bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return {bytes.begin(), bytes.end()};
}

bool is(std::span<const std::byte> message, std::string_view text) noexcept {
    const auto expected = std::as_bytes(std::span(text.data(), text.size()));
    return std::equal(message.begin(), message.end(), expected.begin(), expected.end());
}

std::vector<std::byte> new_challenge() {
    std::vector<std::byte> challenge = bytes_of(challenge_prefix);
    challenge.resize(challenge_prefix.size() + challenge_randomness);
    os::random_bytes(std::span(challenge).subspan(challenge_prefix.size()));
    return challenge;
}

}  // namespace

Handshake::Handshake(HandshakeRole role, AuthenticationString key, Md5 md5)
    : key_(std::move(key)), md5_(md5) {
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
    const std::span steps(all);
    switch (role) {
    case HandshakeRole::server:
        steps_ = steps.first(6);
        break;
    case HandshakeRole::client:
        steps_ = steps.last(6);
        break;
    case HandshakeRole::deliver:
        steps_ = steps.first(3);
        break;
    case HandshakeRole::answer:
        steps_ = steps.subspan(3, 3);
        break;
    }
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
                    throw AuthenticationError(*refusal_);
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
        challenge_ = new_challenge();
        std::vector<std::byte> message = bytes_of(challenge_tag);
        message.insert(message.end(), challenge_.begin(), challenge_.end());
        return message;
    }
    case Step::send_response:
        return create_response(key_, challenge_, md5_);
    default:
        return bytes_of(refusal_ ? failure : welcome);
    }
}

void Handshake::take_message(Message message) {
    switch (steps_[step_]) {
    case Step::receive_challenge: {
        const std::size_t tag = std::min(message.size(), challenge_tag.size());
        if (!is(message.first(tag), challenge_tag)) {
            throw AuthenticationError("what came is no challenge");
        }
        challenge_.assign(message.begin() + challenge_tag.size(), message.end());
        break;
    }
    case Step::receive_response:
        judge(message);
        break;
    default:
        if (!is(message, welcome)) {
            throw AuthenticationError(
                "the digest sent was rejected: the other side has another key"
            );
        }
    }
}

// A wrong answer is told to the other side before it is thrown here.
void Handshake::judge(Message response) {
    try {
        verify_response(key_, challenge_, response, md5_);
    } catch (const AuthenticationError& e) {
        refusal_ = e.what();
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
        throw AuthenticationError(
            "a message of the handshake is longer than " + std::to_string(longest) +
            " bytes"
        );
    }
    const auto message = came.subspan(FrameHeader::short_size);
    if (message.size() < size) {
        return std::nullopt;
    }
    if (message.size() > size) {
        throw AuthenticationError("the other side does not wait for its turn");
    }
    return message;
}

}  // namespace mp::detail
