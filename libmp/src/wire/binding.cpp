// SPDX-License-Identifier: BSL-1.0
// Marks in challenges, and responses that hold for one side of one handshake only.
#include "wire/binding.hpp"

#include "mp/errors.hpp"

#include "os/hmac.hpp"
#include "os/random.hpp"
#include "wire/challenge.hpp"

#include <algorithm>
#include <cstring>
#include <string_view>

namespace mp::detail {

namespace {

using Bytes = std::span<const std::byte>;

// As long as what CPython's challenges have, so that nothing sees a difference: the
// digest's name and 40 bytes.
constexpr std::string_view digest_prefix = "{sha256}";
constexpr std::string_view server_mark = "libmp1S:";
constexpr std::string_view client_mark = "libmp1C:";
// No digest has this name: CPython never sends it, and refuses it.
constexpr std::string_view response_prefix = "{libmp1}";
// What is signed begins with one of these. CPython signs nothing that does not begin
// with a brace, except with MD5: it cannot be made to say one of our responses.
constexpr std::string_view server_label = "libmp handshake 1: the server answers";
constexpr std::string_view client_label = "libmp handshake 1: the client answers";
constexpr std::size_t mac_size = 32;

std::string_view mark_of(HandshakeSide side) noexcept {
    return side == HandshakeSide::server ? server_mark : client_mark;
}

void append(std::vector<std::byte>& to, std::string_view text) {
    // GCC 12 takes insert() here for a write behind the end.
    const std::size_t begin = to.size();
    to.resize(begin + text.size());
    std::memcpy(to.data() + begin, text.data(), text.size());
}

// Its length first: then no two different texts make the same bytes.
void append_sized(std::vector<std::byte>& to, Bytes bytes) {
    to.push_back(static_cast<std::byte>(bytes.size() >> 8U));
    to.push_back(static_cast<std::byte>(bytes.size() & 0xffU));
    to.insert(to.end(), bytes.begin(), bytes.end());
}

bool starts_with(Bytes bytes, std::string_view text) noexcept {
    const auto expected = std::as_bytes(std::span(text.data(), text.size()));
    return bytes.size() >= expected.size() &&
           std::equal(expected.begin(), expected.end(), bytes.begin());
}

std::vector<std::byte> mac_of(
    const AuthenticationString& key, std::string_view label, const Binding& binding
) {
    std::vector<std::byte> text;
    append(text, label);
    append_sized(text, binding.server_challenge);
    append_sized(text, binding.client_challenge);
    return os::hmac(os::Digest::sha256, key.bytes(), text);
}

void check_mac(Bytes expected, Bytes mac) {
    if (!os::equal_in_constant_time(expected, mac)) {
        throw AuthenticationError("the digest received is wrong: another key?");
    }
}

}  // namespace

Nonce new_nonce() {
    Nonce nonce{};
    os::random_bytes(nonce);
    return nonce;
}

std::vector<std::byte> marked_challenge(HandshakeSide side, const Nonce& nonce) {
    std::vector<std::byte> challenge;
    append(challenge, digest_prefix);
    append(challenge, mark_of(side));
    challenge.insert(challenge.end(), nonce.begin(), nonce.end());
    return challenge;
}

std::optional<HandshakeSide> marked_by(Bytes challenge) noexcept {
    if (!starts_with(challenge, digest_prefix)) {
        return std::nullopt;
    }
    for (const auto side : {HandshakeSide::server, HandshakeSide::client}) {
        if (starts_with(challenge.subspan(digest_prefix.size()), mark_of(side))) {
            return side;
        }
    }
    return std::nullopt;
}

bool is_bound(Bytes response) noexcept {
    return starts_with(response, response_prefix);
}

std::vector<std::byte>
client_response(const AuthenticationString& key, const Binding& binding) {
    std::vector<std::byte> response;
    append(response, response_prefix);
    const Bytes nonce = Bytes(binding.client_challenge).last(Nonce().size());
    response.insert(response.end(), nonce.begin(), nonce.end());
    const auto mac = mac_of(key, client_label, binding);
    response.insert(response.end(), mac.begin(), mac.end());
    return response;
}

void take_client_response(
    const AuthenticationString& key, Binding& binding, Bytes response
) {
    Nonce nonce{};
    if (response.size() != response_prefix.size() + nonce.size() + mac_size) {
        throw HandshakeBreach("the client's response has a wrong length");
    }
    const Bytes rest = response.subspan(response_prefix.size());
    std::copy_n(rest.begin(), nonce.size(), nonce.begin());
    binding.client_challenge = marked_challenge(HandshakeSide::client, nonce);
    check_mac(mac_of(key, client_label, binding), rest.subspan(nonce.size()));
}

std::vector<std::byte>
server_response(const AuthenticationString& key, const Binding& binding) {
    std::vector<std::byte> response;
    append(response, response_prefix);
    const auto mac = mac_of(key, server_label, binding);
    response.insert(response.end(), mac.begin(), mac.end());
    return response;
}

void check_server_response(
    const AuthenticationString& key, const Binding& binding, Bytes response
) {
    if (!is_bound(response)) {
        throw AuthenticationError(
            "the server began as one of ours and went on as CPython: somebody is "
            "between"
        );
    }
    check_mac(
        mac_of(key, server_label, binding), response.subspan(response_prefix.size())
    );
}

}  // namespace mp::detail
