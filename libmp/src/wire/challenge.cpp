// SPDX-License-Identifier: BSL-1.0
// Responses to challenges, and whether one is right.
#include "wire/challenge.hpp"

#include "os/hmac.hpp"
#include "os/random.hpp"

#include <algorithm>
#include <optional>
#include <string>
#include <string_view>

namespace mp::detail {

namespace {

using Bytes = std::span<const std::byte>;

// What peers that know nothing but MD5 send: a challenge, and an answer.
constexpr std::size_t legacy_challenge = 20;
constexpr std::size_t legacy_response = 16;
// The longest "{name}" there is.
constexpr std::size_t longest_prefix = 10;

std::string_view text_of(Bytes bytes) noexcept {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

struct Named {
    os::Digest digest = os::Digest::md5;
    Bytes prefix;
    Bytes rest;
};

// Which digest a message is about, and what stands behind its name.
Named digest_of(Bytes message, Md5 md5) {
    Named named{.digest = os::Digest::md5, .prefix = {}, .rest = message};
    if (message.size() != legacy_challenge && message.size() != legacy_response) {
        const std::string_view text = text_of(message);
        const std::size_t brace = text.substr(0, longest_prefix).find('}');
        const auto digest = brace != std::string_view::npos && text.front() == '{'
                                ? os::digest_from(text.substr(1, brace - 1))
                                : std::nullopt;
        if (!digest) {
            throw HandshakeBreach(
                "a message of the handshake names no digest that is known here"
            );
        }
        named = {
            .digest = *digest,
            .prefix = message.first(brace + 1),
            .rest = message.subspan(brace + 1)};
    }
    if (named.digest == os::Digest::md5 && md5 == Md5::refused) {
        throw AuthenticationError(
            "the other side offers MD5 (as CPython 3.11 and older do, which know "
            "nothing else), and that is refused here unless .allow_md5 = true"
        );
    }
    return named;
}

}  // namespace

std::vector<std::byte>
create_response(const AuthenticationString& key, Bytes challenge, Md5 md5) {
    if (challenge.size() < legacy_challenge) {
        throw HandshakeBreach(
            "the challenge has only " + std::to_string(challenge.size()) + " bytes"
        );
    }
    const Named named = digest_of(challenge, md5);
    const auto mac = os::hmac(named.digest, key.bytes(), challenge);
    std::vector<std::byte> response(named.prefix.begin(), named.prefix.end());
    response.insert(response.end(), mac.begin(), mac.end());
    return response;
}

void verify_response(
    const AuthenticationString& key, Bytes challenge, Bytes response, Md5 md5
) {
    const Named named = digest_of(response, md5);
    const auto mac = os::hmac(named.digest, key.bytes(), challenge);
    if (!os::equal_in_constant_time(mac, named.rest)) {
        throw AuthenticationError("the digest received is wrong: another key?");
    }
}

}  // namespace mp::detail
