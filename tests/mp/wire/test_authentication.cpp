// SPDX-License-Identifier: BSL-1.0
#include "mp/authentication.hpp"
#include "mp/errors.hpp"

#include "os/hmac.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/python.hpp"
#include "support/signal_storm.hpp"
#include "wire/challenge.hpp"
#include "wire/handshake.hpp"

#include <array>
#include <cerrno>
#include <chrono>
#include <exception>
#include <future>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::answer_challenge;
using mp::connection::deliver_challenge;

namespace {

using Bytes = std::vector<std::byte>;

const AuthenticationString key("the key");

Bytes bytes_of(std::string_view text) {
    const auto bytes = std::as_bytes(std::span(text.data(), text.size()));
    return {bytes.begin(), bytes.end()};
}

std::string text_of(std::span<const std::byte> bytes) {
    return {reinterpret_cast<const char*>(bytes.data()), bytes.size()};
}

// Runs `call` in a thread; its exceptions come out of get().
template <class Call>
std::future<void> beside(Call call) {
    return std::async(std::launch::async, std::move(call));
}

// What the other side of a handshake is told and tells, message by message, by hand.
struct Wire {
    Wire() {
        auto [a, b] = mp::Pipe();
        ours = a;
        theirs = b;
    }

    std::string next() { return text_of(theirs.recv_bytes()); }

    void say(std::string_view message) { theirs.send_bytes(message); }

    Connection ours;
    Connection theirs;
};

constexpr std::string_view tag = "#CHALLENGE#";
const std::string modern =
    "{sha256}" + std::string(20, 'r') + std::string(20, 's');  // as ours

std::string challenge_with(std::string_view body) {
    return std::string(tag) + std::string(body);
}

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

TEST_CASE("authentication: both halves, one after the other", "[authentication]") {
    const AuthenticationString used = GENERATE(
        AuthenticationString("the key"),
        AuthenticationString(""),
        AuthenticationString(std::string_view("\0\xff\n", 3)),
        AuthenticationString(std::string(1000, 'k'))
    );
    Wire wire;
    auto other = beside([&] {
        answer_challenge(wire.theirs, used);
        deliver_challenge(wire.theirs, used);
        wire.theirs.send_bytes("first message");
    });
    deliver_challenge(wire.ours, used);
    answer_challenge(wire.ours, used);
    CHECK(text_of(wire.ours.recv_bytes()) == "first message");
    other.get();
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
    Wire wire;
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
    Wire wire;
    wire.say(first);
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);

    const std::string verdict = GENERATE(
        std::string("something bogus"),
        std::string("#FAILURE#"),
        std::string("#WELCOME"),
        std::string(),
        std::string(300, '#')
    );
    Wire second;
    second.say(challenge_with(modern));
    second.say(verdict);
    CHECK_THROWS_AS(answer_challenge(second.ours, key), AuthenticationError);
}

TEST_CASE("P13: authentication: wrong keys, on either side", "[authentication]") {
    const AuthenticationString wrong("the kez");
    Wire wire;
    auto other = beside([&] { answer_challenge(wire.theirs, wrong); });
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key), AuthenticationError);
    CHECK_THROWS_AS(other.get(), AuthenticationError);
}

TEST_CASE(
    "P13: authentication: messages that are too long are not even read",
    "[authentication]"
) {
    Wire wire;
    wire.theirs.send_bytes(challenge_with("{sha256}" + std::string(238, 'x')));
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);
    Wire huge;
    // Only a length, and a negative one.
    const auto header = GENERATE(
        std::string_view("\x7f\xff\xff\xff", 4), std::string_view("\xff\xff\xff\xff", 4)
    );
    os::send_all(huge.theirs.fileno(), bytes_of(header), Deadline(forever));
    CHECK_THROWS_AS(deliver_challenge(huge.ours, key), AuthenticationError);
}

TEST_CASE("P13: authentication: a replayed digest is worthless", "[authentication]") {
    Wire first;
    auto other = beside([&] { deliver_challenge(first.ours, key); });
    const Bytes challenge = first.theirs.recv_bytes();
    const Bytes seen = detail::create_response(
        key, std::span(challenge).subspan(tag.size()), detail::Md5::allowed
    );
    first.theirs.send_bytes(seen);
    other.get();

    Wire second;
    second.theirs.send_bytes(seen);
    CHECK_THROWS_AS(deliver_challenge(second.ours, key), AuthenticationError);
    CHECK(second.theirs.recv_bytes() != challenge);
}

TEST_CASE(
    "P13: authentication: a side that does not wait for its turn", "[authentication]"
) {
    Wire wire;
    wire.say(challenge_with(modern));
    wire.say(challenge_with(modern));
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);
}

TEST_CASE("P13: authentication: MD5 may be refused", "[authentication]") {
    Wire wire;
    wire.say(challenge_with(std::string(20, 'x')));
    CHECK_THROWS_AS(
        answer_challenge(wire.ours, key, {.allow_md5 = false}), AuthenticationError
    );
    CHECK_FALSE(wire.theirs.poll());

    Wire legacy;
    auto other =
        beside([&] { deliver_challenge(legacy.ours, key, {.allow_md5 = false}); });
    const Bytes challenge = legacy.theirs.recv_bytes();
    legacy.theirs.send_bytes(
        os::hmac(os::Digest::md5, key.bytes(), std::span(challenge).subspan(tag.size()))
    );
    CHECK(legacy.next() == "#FAILURE#");
    CHECK_THROWS_AS(other.get(), AuthenticationError);
}

TEST_CASE("P14: authentication: silence ends at the timeout", "[authentication]") {
    Wire wire;
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key, {.timeout = 20ms}), TimeoutError);
    CHECK_THROWS_AS(answer_challenge(wire.ours, key, {.timeout = 0s}), TimeoutError);
    // Half a message is silence, too.
    os::send_all(
        wire.theirs.fileno(), bytes_of(std::string_view("\0\0\0\5#", 5)), Deadline(20s)
    );
    CHECK_THROWS_AS(answer_challenge(wire.ours, key, {.timeout = 5ms}), TimeoutError);
}

TEST_CASE("authentication: the other side goes", "[authentication]") {
    Wire wire;
    wire.theirs.close();
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), EOFError);
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key), std::system_error);
    wire.ours.close();
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), std::system_error);

    Wire killed;
    const pid_t child = test::fork_child([&] {
        killed.ours.close();
        killed.theirs.recv_bytes();
        ::raise(SIGKILL);
        return 0;
    });
    killed.theirs.close();
    CHECK_THROWS_AS(deliver_challenge(killed.ours, key), EOFError);
    CHECK(test::exit_status(child) == -SIGKILL);
}

TEST_CASE("P4 P5: authentication: byte by byte, among signals", "[authentication]") {
    Wire wire;
    auto [slow, far] = mp::Pipe();
    // Takes what comes apart.
    auto relay = beside([&, &far = far] {
        const auto pass = [](int from, int to) {
            std::array<std::byte, 1> one{};
            try {
                for (;;) {
                    os::receive_exactly(from, one, Deadline(forever));
                    os::send_all(to, one, Deadline(forever));
                }
            } catch (const EOFError&) {
            }
        };
        auto back =
            std::async(std::launch::async, pass, wire.theirs.fileno(), far.fileno());
        pass(far.fileno(), wire.theirs.fileno());
        back.wait();
    });
    auto other = beside([&, &slow = slow] {
        const test::SignalStorm storm;
        answer_challenge(slow, key);
        deliver_challenge(slow, key);
    });
    {
        const test::SignalStorm storm;
        deliver_challenge(wire.ours, key);
        answer_challenge(wire.ours, key);
    }
    other.get();
    slow.close();
    wire.ours.close();
    relay.get();
}

TEST_CASE("authentication: every CPython", "[authentication][python]") {
    const std::string script = R"(
import sys
from multiprocessing.connection import Connection, answer_challenge, deliver_challenge
from multiprocessing import AuthenticationError
c = Connection(int(sys.argv[1]))
server, right = c.recv_bytes() == b'server', c.recv_bytes() == b'right'
key = b'the key' if right else b'wrong'
try:
    if server:
        deliver_challenge(c, key)
        answer_challenge(c, key)
    else:
        answer_challenge(c, key)
        deliver_challenge(c, key)
    c.send_bytes(b'passed')
except (AuthenticationError, EOFError, ConnectionError):
    sys.exit(3)
)";
    const bool server = GENERATE(true, false);
    const bool right = GENERATE(true, false);
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        INFO(program << (server ? " serves" : " is client"));
        auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
        Connection connection(std::move(ours));
        const pid_t child = test::run_python(program, script, theirs.get());
        theirs.reset();
        const auto shake_hands = [&] {
            connection.send_bytes(server ? "server" : "client");
            connection.send_bytes(right ? "right" : "wrong");
            if (server) {
                answer_challenge(connection, key);
                deliver_challenge(connection, key);
            } else {
                deliver_challenge(connection, key);
                answer_challenge(connection, key);
            }
        };
        try {
            if (right) {
                shake_hands();
                CHECK(text_of(connection.recv_bytes()) == "passed");
            } else {
                CHECK_THROWS_AS(shake_hands(), AuthenticationError);
            }
            connection.close();
            CHECK(test::exit_status(child) == (right ? 0 : 3));
            ++spoken_with;
        } catch (const std::exception& e) {
            connection.close();
            const int status = test::exit_status(child);
            if (status != 127) {
                FAIL(program << ": " << e.what() << ", exit status " << status);
            }
            WARN("not tested, because it is not there: " << program);
        }
    }
    if (spoken_with == 0) {
        WARN("no python3 on this machine: the handshake is tested between ourselves");
    }
}
