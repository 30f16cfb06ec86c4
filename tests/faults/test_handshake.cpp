// SPDX-License-Identifier: BSL-1.0
// What happens to a handshake: wrong keys, messages that no honest side sends, silence,
// death, signals, and one byte at a time.
#include "mp/mp.hpp"

#include "os/hmac.hpp"
#include "os/socket.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/challenges.hpp"
#include "support/log_capture.hpp"
#include "support/signal_storm.hpp"
#include "support/start_methods.hpp"
#include "support/text_of.hpp"
#include "wire/challenge.hpp"

#include <signal.h>

#include <array>
#include <chrono>
#include <future>
#include <span>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::answer_challenge;
using mp::connection::Client;
using mp::connection::deliver_challenge;
using mp::connection::Family;
using mp::connection::Listener;
using test::any_family;
using test::beside;
using test::bytes_of;
using test::caller;
using test::challenge_with;
using test::Handshake;
using test::modern;
using test::tag;
using test::text_of;

namespace {

using Bytes = std::vector<std::byte>;

const AuthenticationString& key = test::secret;

void shake_hands_and_be_killed(connection::Address address, int step) {
    // Connect; then, byte by byte, what a client says.
    Connection connection = Client({.address = address});
    const Bytes challenge = connection.recv_bytes();
    if (step == 1) {
        const std::array half{std::byte{0}, std::byte{0}};
        os::send_all(connection.fileno(), half, Deadline(forever));
    }
    ::raise(SIGKILL);
}

}  // namespace

TEST_CASE("P13: authentication: wrong keys, on either side", "[authentication]") {
    const AuthenticationString wrong("the kez");
    Handshake wire;
    auto other = beside([&] { answer_challenge(wire.theirs, wrong); });
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key), AuthenticationError);
    CHECK_THROWS_AS(other.get(), AuthenticationError);
}

TEST_CASE(
    "P13: authentication: messages that are too long are not even read",
    "[authentication]"
) {
    Handshake wire;
    wire.theirs.send_bytes(challenge_with("{sha256}" + std::string(238, 'x')));
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);
    Handshake huge;
    // Only a length, and a negative one.
    const auto header = GENERATE(
        std::string_view("\x7f\xff\xff\xff", 4), std::string_view("\xff\xff\xff\xff", 4)
    );
    os::send_all(huge.theirs.fileno(), bytes_of(header), Deadline(forever));
    CHECK_THROWS_AS(deliver_challenge(huge.ours, key), AuthenticationError);
}

TEST_CASE("P13: authentication: a replayed digest is worthless", "[authentication]") {
    Handshake first;
    auto other = beside([&] { deliver_challenge(first.ours, key); });
    const Bytes challenge = first.theirs.recv_bytes();
    const Bytes seen = detail::create_response(
        key, std::span(challenge).subspan(tag.size()), detail::Md5::allowed
    );
    first.theirs.send_bytes(seen);
    other.get();

    Handshake second;
    second.theirs.send_bytes(seen);
    CHECK_THROWS_AS(deliver_challenge(second.ours, key), AuthenticationError);
    CHECK(second.theirs.recv_bytes() != challenge);
}

TEST_CASE(
    "P13: authentication: a side that does not wait for its turn", "[authentication]"
) {
    Handshake wire;
    wire.say(challenge_with(modern));
    wire.say(challenge_with(modern));
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);
}

TEST_CASE("P13: authentication: MD5 is refused unless asked for", "[authentication]") {
    Handshake wire;
    wire.say(challenge_with(std::string(20, 'x')));
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), AuthenticationError);
    CHECK_FALSE(wire.theirs.poll());

    Handshake legacy;
    auto other = beside([&] { deliver_challenge(legacy.ours, key); });
    const Bytes challenge = legacy.theirs.recv_bytes();
    legacy.theirs.send_bytes(
        os::hmac(os::Digest::md5, key.bytes(), std::span(challenge).subspan(tag.size()))
    );
    CHECK(legacy.next() == "#FAILURE#");
    CHECK_THROWS_AS(other.get(), AuthenticationError);
}

TEST_CASE("P14: authentication: silence ends at the timeout", "[authentication]") {
    Handshake wire;
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key, {.timeout = 20ms}), TimeoutError);
    CHECK_THROWS_AS(answer_challenge(wire.ours, key, {.timeout = 0s}), TimeoutError);
    // Half a message is silence, too.
    os::send_all(
        wire.theirs.fileno(), bytes_of(std::string_view("\0\0\0\5#", 5)), Deadline(20s)
    );
    CHECK_THROWS_AS(answer_challenge(wire.ours, key, {.timeout = 5ms}), TimeoutError);
}

TEST_CASE("P4 P5: authentication: byte by byte, among signals", "[authentication]") {
    Handshake wire;
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

TEST_CASE("N5 P13: Listener: a client with another key", "[listener]") {
    Listener listener({.family = any_family(), .authkey = test::key});
    auto wrong = beside([&] {
        Client({.address = listener.address(), .authkey = "wrong", .timeout = 30s});
    });
    CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
    CHECK_THROWS_AS(wrong.get(), AuthenticationError);
    auto right = caller(listener.address(), "right");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "right");
    right.get();
}

TEST_CASE("P14: Listener: silent clients keep nobody waiting", "[listener]") {
    const test::LogCapture log;
    Listener listener(
        {.family = any_family(), .authkey = test::key, .handshake_timeout = 50ms}
    );
    std::vector<Connection> silent;
    for (int i = 0; i < 20; ++i) {
        silent.push_back(Client({.address = listener.address()}));
    }
    auto good = caller(listener.address(), "served");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "served");
    good.get();
    CHECK_THROWS_AS(listener.accept(200ms), TimeoutError);
    for (Connection& one : silent) {
        CHECK(one.recv_bytes().size() == 59);  // the challenge
        CHECK_THROWS_AS(one.recv_bytes(), EOFError);
    }
}

TEST_CASE("P13 P14: Listener: clients killed in the handshake", "[listener][process]") {
    const Context ctx = each_start_method();
    Listener listener({.family = Family::unix_socket, .authkey = "key"});
    for (const int step : {0, 1}) {
        auto process = ctx.Process(shake_hands_and_be_killed, listener.address(), step);
        process.start();
        auto good = std::async(std::launch::async, [&] {
            return Client(
                {.address = listener.address(), .authkey = "key", .timeout = 30s}
            );
        });
        CHECK_FALSE(listener.accept(30s).closed());
        good.get();
        // The dead one goes when accept() next looks.
        while (process.is_alive()) {
            CHECK_THROWS_AS(listener.accept(10ms), TimeoutError);
        }
        CHECK_THROWS_AS(listener.accept(10ms), TimeoutError);
        CHECK(process.exitcode() == -SIGKILL);
    }
}
