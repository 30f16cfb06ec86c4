// SPDX-License-Identifier: BSL-1.0
// hmac: keyed digests, for the handshake of connections. hmac.cpp is the only file that
// knows OpenSSL.
#pragma once

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

namespace mp::os {

/// The digests that the handshake may name, under Python's names.
enum class Digest : std::uint8_t { md5, sha256, sha384, sha3_256, sha3_384 };

std::string_view to_string(Digest digest) noexcept;

/// nullopt: none of those.
std::optional<Digest> digest_from(std::string_view name) noexcept;

/// Loads libcrypto, which takes milliseconds and a descriptor for a moment; again it
/// does nothing. Throws AuthenticationError when there is none, std::system_error
/// (EMFILE, ENFILE) when there is no descriptor to look for it with.
void load_crypto();

/// HMAC of `message`; both may be empty. The first call loads libcrypto, and throws as
/// load_crypto(). Throws AuthenticationError when libcrypto refuses the digest (MD5 in
/// FIPS mode).
std::vector<std::byte>
hmac(Digest digest, std::span<const std::byte> key, std::span<const std::byte> message);

}  // namespace mp::os
