// SPDX-License-Identifier: BSL-1.0
// What tests of the authentication share: a handshake whose other side is played by
// hand.
#pragma once

#include "mp/authentication.hpp"
#include "mp/connection.hpp"

#include "support/text_of.hpp"

#include <string>
#include <string_view>

namespace test {

/// What the other side of a handshake is told and tells, message by message, by hand.
struct Handshake {
    Handshake() {
        auto [a, b] = mp::Pipe();
        ours = a;
        theirs = b;
    }

    std::string next() { return text_of(theirs.recv_bytes()); }

    void say(std::string_view message) { theirs.send_bytes(message); }

    mp::Connection ours;
    mp::Connection theirs;
};

inline const mp::AuthenticationString secret("the key");

constexpr std::string_view tag = "#CHALLENGE#";

/// What follows the tag in a challenge of ours.
inline const std::string modern =
    "{sha256}" + std::string(20, 'r') + std::string(20, 's');

inline std::string challenge_with(std::string_view body) {
    return std::string(tag) + std::string(body);
}

}  // namespace test
