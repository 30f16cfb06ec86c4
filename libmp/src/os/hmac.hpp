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

/// HMAC of `message`; both may be empty. The first call loads libcrypto, which takes
/// milliseconds. Throws AuthenticationError when there is no libcrypto, or when it
/// refuses the digest (MD5 in FIPS mode).
std::vector<std::byte>
hmac(Digest digest, std::span<const std::byte> key, std::span<const std::byte> message);

}  // namespace mp::os
