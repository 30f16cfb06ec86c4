// SPDX-License-Identifier: BSL-1.0
// The part of the handshake that only two of ours speak: marked challenges, and
// responses that hold for one side of one handshake.
#include "mp/authentication.hpp"
#include "mp/errors.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/challenges.hpp"
#include "support/text_of.hpp"
#include "wire/binding.hpp"
#include "wire/challenge.hpp"

#include <cstddef>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using mp::connection::answer_challenge;
using mp::connection::deliver_challenge;
using mp::detail::Binding;
using mp::detail::HandshakeSide;
using mp::detail::marked_challenge;
using mp::detail::new_nonce;
using test::beside;
using test::bytes_of;
using test::challenge_with;
using test::Handshake;
using test::modern;
using test::tag;
using test::text_of;

namespace {

using Bytes = std::vector<std::byte>;

Binding new_binding() {
    Binding binding;
    binding.server_challenge = marked_challenge(HandshakeSide::server, new_nonce());
    binding.client_challenge = marked_challenge(HandshakeSide::client, new_nonce());
    return binding;
}

std::string new_challenge_of(HandshakeSide side) {
    return text_of(marked_challenge(side, new_nonce()));
}

}  // namespace

TEST_CASE("binding: a challenge says which side made it", "[authentication]") {
    const auto side = GENERATE(HandshakeSide::server, HandshakeSide::client);
    const Bytes challenge = marked_challenge(side, new_nonce());
    CHECK(detail::marked_by(challenge) == side);
    // To CPython it has the shape of its own.
    CHECK(challenge.size() == modern.size());
    CHECK(text_of(challenge).starts_with("{sha256}"));
    CHECK(marked_challenge(side, new_nonce()) != challenge);

    CHECK_FALSE(detail::marked_by(bytes_of(modern)));
    CHECK_FALSE(detail::marked_by({}));
    CHECK_FALSE(detail::marked_by(std::span(challenge).first(12)));
    CHECK_FALSE(detail::marked_by(std::span(challenge).subspan(1)));
}

TEST_CASE(
    "binding: a client's response holds for its own two challenges", "[authentication]"
) {
    const Binding binding = new_binding();
    const Bytes response = detail::client_response(test::secret, binding);
    CHECK(detail::is_bound(response));

    Binding server;
    server.server_challenge = binding.server_challenge;
    detail::take_client_response(test::secret, server, response);
    CHECK(server.client_challenge == binding.client_challenge);

    Binding another = new_binding();
    CHECK_THROWS_AS(
        detail::take_client_response(test::secret, another, response),
        AuthenticationError
    );
    CHECK_THROWS_AS(
        detail::take_client_response(AuthenticationString("another"), server, response),
        AuthenticationError
    );
    for (std::size_t i = 0; i < response.size(); ++i) {
        Bytes damaged = response;
        damaged[i] ^= std::byte{1};
        if (detail::is_bound(damaged)) {
            CHECK_THROWS_AS(
                detail::take_client_response(test::secret, server, damaged),
                AuthenticationError
            );
        }
        const auto cut = std::span(response).first(i);
        CHECK_THROWS_AS(
            detail::take_client_response(test::secret, server, cut),
            detail::HandshakeBreach
        );
    }
}

TEST_CASE(
    "binding: a server's response is not a client's, nor CPython's", "[authentication]"
) {
    const Binding binding = new_binding();
    const Bytes response = detail::server_response(test::secret, binding);
    CHECK_NOTHROW(detail::check_server_response(test::secret, binding, response));
    CHECK_THROWS_AS(
        detail::check_server_response(test::secret, new_binding(), response),
        AuthenticationError
    );
    for (const std::size_t left : {response.size() - 1, response.size() - 32}) {
        const auto shorter = std::span(response).first(left);
        CHECK(detail::is_bound(shorter));
        CHECK_THROWS_AS(
            detail::check_server_response(test::secret, binding, shorter),
            AuthenticationError
        );
    }
    CHECK_THROWS_AS(
        detail::check_server_response(
            test::secret, binding, detail::client_response(test::secret, binding)
        ),
        AuthenticationError
    );
    const Bytes cpythons = detail::create_response(
        test::secret, binding.client_challenge, detail::Md5::refused
    );
    CHECK_THROWS_AS(
        detail::check_server_response(test::secret, binding, cpythons),
        AuthenticationError
    );
    // The other way round: CPython believes none of ours.
    CHECK_THROWS_AS(
        detail::verify_response(
            test::secret, binding.client_challenge, response, detail::Md5::allowed
        ),
        AuthenticationError
    );
}

TEST_CASE("binding: a client answers no challenge of a client", "[authentication]") {
    Handshake wire;
    wire.say(challenge_with(new_challenge_of(HandshakeSide::client)));
    CHECK_THROWS_AS(answer_challenge(wire.ours, test::secret), AuthenticationError);
    CHECK_FALSE(wire.theirs.poll());
}

TEST_CASE(
    "binding: a server that asks as CPython gets CPython's answer, unless refused",
    "[authentication]"
) {
    const bool allowed = GENERATE(true, false);
    Handshake wire;
    auto other = beside([&] {
        answer_challenge(wire.ours, test::secret, {.allow_cpython = allowed});
    });
    wire.say(challenge_with(modern));
    if (allowed) {
        CHECK(
            wire.theirs.recv_bytes() ==
            detail::create_response(
                test::secret, bytes_of(modern), detail::Md5::refused
            )
        );
        wire.say("#WELCOME#");
        CHECK_NOTHROW(other.get());
    } else {
        CHECK_THROWS_AS(other.get(), AuthenticationError);
        CHECK_FALSE(wire.theirs.poll());
    }
}

TEST_CASE(
    "binding: a client that answers as CPython gets in, unless refused",
    "[authentication]"
) {
    const bool allowed = GENERATE(true, false);
    Handshake wire;
    auto other = beside([&] {
        deliver_challenge(wire.ours, test::secret, {.allow_cpython = allowed});
    });
    const Bytes challenge = wire.theirs.recv_bytes();
    wire.theirs.send_bytes(detail::create_response(
        test::secret, std::span(challenge).subspan(tag.size()), detail::Md5::refused
    ));
    CHECK(wire.next() == (allowed ? "#WELCOME#" : "#FAILURE#"));
    if (allowed) {
        other.get();
        // It cannot go on as one of ours.
        wire.say(challenge_with(new_challenge_of(HandshakeSide::client)));
        CHECK_THROWS_AS(answer_challenge(wire.ours, test::secret), AuthenticationError);
        CHECK_FALSE(wire.theirs.poll());
    } else {
        CHECK_THROWS_AS(other.get(), AuthenticationError);
    }
}

TEST_CASE(
    "binding: a client that was promised one of ours believes nobody else",
    "[authentication]"
) {
    Handshake wire;
    auto other = beside([&] {
        answer_challenge(wire.ours, test::secret);
        deliver_challenge(wire.ours, test::secret);
    });
    wire.say(challenge_with(new_challenge_of(HandshakeSide::server)));
    CHECK(detail::is_bound(wire.theirs.recv_bytes()));
    wire.say("#WELCOME#");
    // Right for CPython, and the challenge is one of ours.
    const Bytes challenge = wire.theirs.recv_bytes();
    CHECK(
        detail::marked_by(std::span(challenge).subspan(tag.size())) ==
        HandshakeSide::client
    );
    wire.theirs.send_bytes(detail::create_response(
        test::secret, std::span(challenge).subspan(tag.size()), detail::Md5::refused
    ));
    CHECK(wire.next() == "#FAILURE#");
    CHECK_THROWS_AS(other.get(), AuthenticationError);
}

TEST_CASE(
    "binding: a client asks with the nonce that it announced", "[authentication]"
) {
    Handshake wire;
    auto other = beside([&] {
        deliver_challenge(wire.ours, test::secret);
        answer_challenge(wire.ours, test::secret);
    });
    Binding client = new_binding();
    const Bytes challenge = wire.theirs.recv_bytes();
    client.server_challenge.assign(challenge.begin() + tag.size(), challenge.end());
    wire.theirs.send_bytes(detail::client_response(test::secret, client));
    CHECK(wire.next() == "#WELCOME#");
    wire.say(challenge_with(new_challenge_of(HandshakeSide::client)));
    CHECK_THROWS_AS(other.get(), AuthenticationError);
    CHECK_FALSE(wire.theirs.poll());
}

TEST_CASE(
    "binding: only ours get in where CPython is refused, on both sides",
    "[authentication]"
) {
    const bool halves = GENERATE(true, false);
    Handshake wire;
    const connection::ChallengeOptions only_ours{.allow_cpython = false};
    auto other = beside([&] {
        answer_challenge(wire.theirs, test::secret, only_ours);
        if (!halves) {
            deliver_challenge(wire.theirs, test::secret, only_ours);
        }
        wire.theirs.send_bytes("first message");
    });
    deliver_challenge(wire.ours, test::secret, only_ours);
    if (!halves) {
        answer_challenge(wire.ours, test::secret, only_ours);
    }
    CHECK(text_of(wire.ours.recv_bytes()) == "first message");
    other.get();
}
