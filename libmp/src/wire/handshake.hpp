// SPDX-License-Identifier: BSL-1.0
// Handshake: one side of the exchange by which both ends of a connection prove that
// they hold the same key: docs/protocols/authentication.md. It never blocks, so that
// one thread can have many under way.
#pragma once

#include "mp/identity.hpp"
#include "mp/timeout.hpp"

#include "wire/binding.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <optional>
#include <span>
#include <utility>
#include <vector>

namespace mp::detail {

/// In the first half the server asks and the client answers, in the second the client
/// asks and the server answers.
enum class HandshakePart : std::uint8_t { whole, first, second };

struct HandshakeRules {
    /// Whether the peer may be CPython, or has to be one of ours.
    bool allow_cpython = true;
    /// Whether CPython may be of the kind that knows nothing but MD5.
    bool allow_md5 = false;
};

class Handshake {
public:
    enum class Wants : std::uint8_t { reading, writing, nothing };

    /// Loads libcrypto if nothing has: throws as os::load_crypto().
    Handshake(HandshakeSide side, AuthenticationString key, HandshakeRules rules);

    /// One half of it; the second goes on with the binding of the first, whose side
    /// counts.
    Handshake(
        HandshakePart part,
        Binding binding,
        AuthenticationString key,
        HandshakeRules rules
    );

    /// Goes on as far as the socket allows; returns what to wait for, `nothing` when
    /// both sides are satisfied. Throws AuthenticationError: the other side does not
    /// hold the key or (HandshakeBreach) does not keep to the protocol; it was told,
    /// where the protocol has words for it. EOFError and std::system_error: it is gone.
    Wants advance(int socket);

    /// Blocks until it is done. Throws as advance(), and TimeoutError.
    void run(int socket, const Deadline& deadline);

    /// Of a server: whether the client has shown that it holds the key.
    bool has_proof() const noexcept { return proven_; }

    /// For the second half. Requires: the first one is through.
    Binding take_binding() && { return std::move(binding_); }

private:
    enum class Step : std::uint8_t {
        send_challenge,
        receive_response,
        send_verdict,
        receive_challenge,
        send_response,
        receive_verdict,
    };
    using Message = std::span<const std::byte>;

    bool sends() const noexcept;
    std::vector<std::byte> message_to_send();
    std::vector<std::byte> own_challenge();
    std::vector<std::byte> own_response() const;
    void take_message(Message message);
    void take_challenge(Message challenge);
    void take_verdict(Message verdict) const;
    void judge(Message response);
    void check_response(Message response);
    std::size_t longest_frame() const noexcept;
    std::optional<Message> whole_message() const;

    // Set once in the constructor.
    std::span<const Step> steps_;
    AuthenticationString key_;
    HandshakeRules rules_;
    // The rest belongs to the thread that advances.
    std::size_t step_ = 0;
    Binding binding_;
    bool proven_ = false;
    std::exception_ptr refusal_;
    std::vector<std::byte> outgoing_;
    std::size_t sent_ = 0;
    std::array<std::byte, 4 + 256> incoming_{};
    std::size_t received_ = 0;
};

}  // namespace mp::detail
