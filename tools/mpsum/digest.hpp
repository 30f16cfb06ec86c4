// SPDX-License-Identifier: BSL-1.0
// Algorithm and Digest: a checksum of bytes that arrive piece by piece.
// The only part of mpsum that knows OpenSSL.
// Threads: a Digest belongs to one thread.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace mpsum {

enum class Algorithm : std::uint8_t { sha256, sha512, sha1, md5 };

/// As it is written on the command line: "sha256".
std::optional<Algorithm> algorithm_named(std::string_view name);

/// As it is written in a BSD-style line: "SHA256".
std::string_view tag_of(Algorithm algorithm) noexcept;

/// Length of the digest in bytes.
std::size_t digest_size(Algorithm algorithm) noexcept;

class Digest {
public:
    /// Throws: std::runtime_error when this OpenSSL refuses the algorithm (FIPS and
    /// MD5).
    explicit Digest(Algorithm algorithm);
    ~Digest();
    Digest(Digest&&) = delete;
    Digest& operator=(Digest&&) = delete;

    void update(std::span<const std::byte> bytes);

    /// The raw digest. The object starts over.
    std::string finish();

private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace mpsum
