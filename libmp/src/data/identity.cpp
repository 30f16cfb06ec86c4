// SPDX-License-Identifier: BSL-1.0
// Authentication keys, and the text of an identity.
#include "mp/identity.hpp"

#include "mp/errors.hpp"

#include "data/spawning.hpp"
#include "os/random.hpp"

namespace mp {

AuthenticationString::AuthenticationString(std::span<const std::byte> bytes)
    : bytes_(bytes.begin(), bytes.end()) {}

AuthenticationString::AuthenticationString(std::string_view text)
    : AuthenticationString(std::as_bytes(std::span(text.data(), text.size()))) {}

AuthenticationString& AuthenticationString::operator=(const AuthenticationString& other
) {
    if (this != &other) {
        os::wipe(bytes_);
        bytes_ = other.bytes_;
    }
    return *this;
}

AuthenticationString& AuthenticationString::operator=(AuthenticationString&& other
) noexcept {
    if (this != &other) {
        os::wipe(bytes_);
        bytes_ = std::move(other.bytes_);
    }
    return *this;
}

AuthenticationString::~AuthenticationString() {
    os::wipe(bytes_);
}

AuthenticationString AuthenticationString::random() {
    AuthenticationString key;
    key.bytes_.resize(32);
    os::random_bytes(key.bytes_);
    return key;
}

bool AuthenticationString::equals(const AuthenticationString& other) const noexcept {
    return os::equal_in_constant_time(bytes_, other.bytes_);
}

void AuthenticationString::refuse_outside_of_a_start() {
    if (!detail::spawning()) {
        throw StateError(
            "an authentication key is serialised only for a child that is being started"
        );
    }
}

std::string detail::identity_text(const std::vector<int>& numbers) {
    std::string text;
    for (const int number : numbers) {
        text += (text.empty() ? "" : ":") + std::to_string(number);
    }
    return text;
}

}  // namespace mp
