// SPDX-License-Identifier: BSL-1.0
// binding: what two of ours add to CPython's handshake: challenges that say which side
// made them, and responses that are bound to the side and to both challenges:
// docs/protocols/authentication.md. No input and output here.
#pragma once

#include "mp/identity.hpp"

#include <array>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <vector>

namespace mp::detail {

/// The server speaks first.
enum class HandshakeSide : std::uint8_t { server, client };

/// What a challenge has of randomness, beside its mark.
using Nonce = std::array<std::byte, 32>;

Nonce new_nonce();

/// The challenge of a side of ours. CPython takes it for one of its own; it is marked
/// all the same, and no response is right for it with another mark.
std::vector<std::byte> marked_challenge(HandshakeSide side, const Nonce& nonce);

/// Which side of ours made it; nullopt: CPython did.
std::optional<HandshakeSide> marked_by(std::span<const std::byte> challenge) noexcept;

/// Whether a response is of our kind, right or wrong.
bool is_bound(std::span<const std::byte> response) noexcept;

/// What a handshake knows of its two challenges. It outlives the first half where the
/// halves are called one by one.
struct Binding {
    HandshakeSide side = HandshakeSide::server;  ///< which one this process is
    bool peer_is_ours = false;                   ///< known once the peer has spoken
    std::vector<std::byte> server_challenge;
    std::vector<std::byte> client_challenge;
};

/// The client's response; it brings the nonce of the challenge that is to come.
/// Requires: both challenges are known.
std::vector<std::byte>
client_response(const AuthenticationString& key, const Binding& binding);

/// Checks it and learns the client's challenge. Throws AuthenticationError.
void take_client_response(
    const AuthenticationString& key,
    Binding& binding,
    std::span<const std::byte> response
);

/// The server's response. Requires: both challenges are known.
std::vector<std::byte>
server_response(const AuthenticationString& key, const Binding& binding);

/// Throws AuthenticationError unless it is right.
void check_server_response(
    const AuthenticationString& key,
    const Binding& binding,
    std::span<const std::byte> response
);

}  // namespace mp::detail
