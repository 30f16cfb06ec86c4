// SPDX-License-Identifier: BSL-1.0
// challenge: what is computed in the handshake of a connection, byte for byte as
// CPython does: docs/protocols/authentication.md. No input and output here.
#pragma once

#include "mp/errors.hpp"
#include "mp/identity.hpp"

#include <cstddef>
#include <cstdint>
#include <span>
#include <vector>

namespace mp::detail {

/// The other side does not keep to the protocol: it is no peer of this handshake, while
/// any other AuthenticationError is about a key or about what is allowed.
struct HandshakeBreach : AuthenticationError {
    using AuthenticationError::AuthenticationError;
};

/// Whether a peer of CPython 3.11 and older, which knows nothing but HMAC-MD5, will do.
enum class Md5 : std::uint8_t { refused, allowed };

/// What to answer to a challenge (without its tag). Throws AuthenticationError when the
/// challenge makes no sense or wants a digest that is not allowed.
std::vector<std::byte> create_response(
    const AuthenticationString& key, std::span<const std::byte> challenge, Md5 md5
);

/// Throws AuthenticationError unless `response` is what a holder of the key answers to
/// `challenge`; compares in constant time.
void verify_response(
    const AuthenticationString& key,
    std::span<const std::byte> challenge,
    std::span<const std::byte> response,
    Md5 md5
);

}  // namespace mp::detail
