// SPDX-License-Identifier: BSL-1.0
// The authentication's challenges and responses, by the rows of the conformance table.
#include "mp/authentication.hpp"
#include "mp/errors.hpp"

#include "os/hmac.hpp"
#include "support/catch.hpp"
#include "support/challenges.hpp"
#include "support/text_of.hpp"
#include "wire/challenge.hpp"

#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using mp::connection::answer_challenge;
using mp::connection::deliver_challenge;
using test::bytes_of;
using test::challenge_with;
using test::Handshake;
using test::modern;
using test::tag;
using test::text_of;

namespace {

using Bytes = std::vector<std::byte>;

const AuthenticationString& key = test::secret;

}  // namespace

TEST_CASE(
    "ChallengeResponseTest.test_challengeresponse: the answer has the challenge's "
    "prefix and verifies",
    "[authentication]"
) {
    const std::string prefix =
        GENERATE("", "{md5}", "{sha256}", "{sha384}", "{sha3_256}", "{sha3_384}");
    const std::string challenge =
        prefix.empty() ? std::string(20, 'x') : prefix + std::string(40, 'x');
    using detail::Md5;
    const Bytes response =
        detail::create_response(key, bytes_of(challenge), Md5::allowed);
    CHECK(text_of(response).substr(0, prefix.size()) == prefix);
    CHECK_NOTHROW(
        detail::verify_response(key, bytes_of(challenge), response, Md5::allowed)
    );
    const AuthenticationString other("another key");
    CHECK_THROWS_AS(
        detail::verify_response(other, bytes_of(challenge), response, Md5::allowed),
        AuthenticationError
    );
    Bytes damaged = response;
    damaged.back() ^= std::byte{1};
    CHECK_THROWS_AS(
        detail::verify_response(key, bytes_of(challenge), damaged, Md5::allowed),
        AuthenticationError
    );
    damaged = response;
    damaged.pop_back();
    CHECK_THROWS_AS(
        detail::verify_response(key, bytes_of(challenge), damaged, Md5::allowed),
        AuthenticationError
    );
    const bool is_md5 = prefix.empty() || prefix == "{md5}";
    const auto refusing_md5 = [&] {
        detail::verify_response(key, bytes_of(challenge), response, Md5::refused);
        detail::create_response(key, bytes_of(challenge), Md5::refused);
    };
    if (is_md5) {
        CHECK_THROWS_AS(refusing_md5(), AuthenticationError);
    } else {
        CHECK_NOTHROW(refusing_md5());
    }
}

TEST_CASE(
    "OtherTest.test_deliver_challenge_auth_failure: a bogus response is refused, and "
    "the other side is told",
    "[authentication]"
) {
    const std::string bogus = GENERATE(
        std::string("something bogus"),
        std::string(),
        std::string(16, 'm'),
        std::string(20, 'm'),
        "{sha256}" + std::string(32, 'm'),
        "{sha256}" + std::string(31, 'm'),
        std::string("{sha256}"),
        "{sha512}" + std::string(64, 'm'),
        "{md5" + std::string(30, 'm'),
        "sha256}" + std::string(32, 'm')
    );
    Handshake wire;
    wire.say(bogus);
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key), AuthenticationError);
    CHECK(wire.next().substr(0, tag.size()) == tag);
    CHECK(wire.next() == "#FAILURE#");
}

TEST_CASE(
    "OtherTest.test_answer_challenge_auth_failure: no challenge, and no welcome",
    "[authentication]"
) {
    const std::string first = GENERATE(
        std::string("something bogus"),
        std::string(),
        std::string(tag),
        std::string("#CHALL"),
        challenge_with(std::string(19, 'x')),
        challenge_with("{sha512}" + std::string(40, 'x')),
        challenge_with(std::string(40, 'x')),
        challenge_with("{sha256" + std::string(40, 'x')),
        std::string("#WELCOME#")
    );
    Handshake wire;
    wire.say(first);
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);

    const std::string verdict = GENERATE(
        std::string("something bogus"),
        std::string("#FAILURE#"),
        std::string("#WELCOME"),
        std::string(),
        std::string(300, '#')
    );
    Handshake second;
    second.say(challenge_with(modern));
    second.say(verdict);
    CHECK_THROWS_AS(answer_challenge(second.ours, key), AuthenticationError);
}
