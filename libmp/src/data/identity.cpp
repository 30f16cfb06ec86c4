// SPDX-License-Identifier: BSL-1.0
// Authentication keys, and the text of an identity.
#include "mp/identity.hpp"

#include "data/key_travel.hpp"
#include "data/spawning.hpp"
#include "os/random.hpp"
#include "os/secret.hpp"

namespace mp {

AuthenticationString::AuthenticationString(std::span<const std::byte> bytes) {
    *this = detail::KeyTravel::key_of(os::Secret(bytes));
}

AuthenticationString::AuthenticationString(std::string_view text)
    : AuthenticationString(std::as_bytes(std::span(text.data(), text.size()))) {}

AuthenticationString AuthenticationString::random() {
    const os::Secret secret(32);
    os::random_bytes(secret.bytes());
    return detail::KeyTravel::key_of(secret);
}

bool AuthenticationString::equals(const AuthenticationString& other) const noexcept {
    return os::equal_in_constant_time(bytes(), other.bytes());
}

std::uint32_t AuthenticationString::hand_over() const {
    return detail::hand_over_secret(
        os::Secret(first_, size_),
        "an authentication key is serialised only for a child "
        "that is being started"
    );
}

AuthenticationString AuthenticationString::take_over(std::uint32_t index) {
    return detail::KeyTravel::key_of(detail::take_over_secret(index));
}

std::uint32_t detail::KeyTravel::hand_over(const AuthenticationString& key) {
    return key.hand_over();
}

AuthenticationString detail::KeyTravel::take_over(std::uint32_t index) {
    return AuthenticationString::take_over(index);
}

AuthenticationString detail::KeyTravel::key_of(const os::Secret& secret) {
    AuthenticationString key;
    key.first_ = secret.first();
    key.size_ = secret.bytes().size();
    return key;
}

std::string detail::identity_text(const std::vector<int>& numbers) {
    std::string text;
    for (const int number : numbers) {
        text += (text.empty() ? "" : ":") + std::to_string(number);
    }
    return text;
}

}  // namespace mp
