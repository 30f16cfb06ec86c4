// SPDX-License-Identifier: BSL-1.0
// Processes without the key that stand between others: what one side says is passed on
// to somebody else, sent back, or changed on the way. Nobody believes them.
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/challenges.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/text_of.hpp"
#include "wire/binding.hpp"

#include <sys/types.h>

#include <chrono>
#include <functional>
#include <string>
#include <system_error>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::challenge_with;
using test::key;
using test::modern;
using test::tag;
using test::text_of;

namespace {

constexpr int believed = 1;
constexpr int refused = 2;
constexpr int gone = 3;

// A process that calls with the key, and says how it went.
pid_t start_client(const Address& address, bool allow_cpython) {
    return test::fork_child([&] {
        try {
            Client(
                {.address = address,
                 .authkey = key,
                 .timeout = 30s,
                 .allow_cpython = allow_cpython}
            );
            return believed;
        } catch (const AuthenticationError&) {
            return refused;
        } catch (const EOFError&) {
            return gone;
        }
    });
}

// The challenge with which a server without the key may begin.
std::string opening(bool as_cpython) {
    return challenge_with(
        as_cpython ? modern
                   : text_of(detail::marked_challenge(
                         detail::HandshakeSide::server, detail::new_nonce()
                     ))
    );
}

// Until one of the two ends has enough of it. `change` may do something to what passes.
void pass_on(
    Connection& client,
    Connection& server,
    const std::function<std::string(std::string)>& from_server
) {
    try {
        for (int message = 0; message < 3; ++message) {
            server.poll(30s);
            client.send_bytes(from_server(text_of(server.recv_bytes())));
            client.poll(30s);
            server.send_bytes(client.recv_bytes());
        }
    } catch (const std::exception&) {
    }
}

}  // namespace

TEST_CASE(
    "P21: a server without the key passes one client's challenge to another",
    "[authentication]"
) {
    const bool as_cpython = GENERATE(true, false);
    const bool unmarked = GENERATE(false, true);
    Listener middle({.family = Family::unix_socket});
    const pid_t victim = start_client(middle.address(), true);
    Connection to_victim = middle.accept(30s);
    const pid_t helper = start_client(middle.address(), true);
    Connection to_helper = middle.accept(30s);

    to_victim.send_bytes(opening(as_cpython));
    to_victim.recv_bytes();  // cannot be judged without the key
    to_victim.send_bytes("#WELCOME#");
    std::string challenge = text_of(to_victim.recv_bytes());
    if (unmarked) {
        challenge.replace(tag.size() + 8, 8, "nothing!");
    }
    try {
        to_helper.send_bytes(challenge);
        to_victim.send_bytes(to_helper.recv_bytes());
        to_helper.send_bytes("#WELCOME#");
        to_victim.recv_bytes();  // its verdict
    } catch (const EOFError&) {
    }
    to_victim.close();
    to_helper.close();
    CHECK(test::exit_status(victim) != believed);
    CHECK(test::exit_status(helper) != believed);
}

TEST_CASE("P21: a client's challenge is sent back to it", "[authentication]") {
    Listener middle({.family = Family::unix_socket});
    const pid_t victim = start_client(middle.address(), true);
    Connection to_victim = middle.accept(30s);
    const bool as_cpython = GENERATE(true, false);
    to_victim.send_bytes(opening(as_cpython));
    const std::vector<std::byte> response = to_victim.recv_bytes();
    to_victim.send_bytes("#WELCOME#");
    const std::vector<std::byte> challenge = to_victim.recv_bytes();
    const int what = GENERATE(0, 1);
    to_victim.send_bytes(what == 0 ? challenge : response);
    CHECK(text_of(to_victim.recv_bytes()) == "#FAILURE#");
    CHECK(test::exit_status(victim) == refused);
}

TEST_CASE(
    "P21: a middle cannot talk two of ours into CPython's handshake", "[authentication]"
) {
    const bool allow_cpython = GENERATE(true, false);
    const test::LogCapture log;
    Listener server(
        {.family = Family::unix_socket, .authkey = key, .throw_protocol_errors = true}
    );
    Listener middle({.family = Family::unix_socket});
    const pid_t victim = start_client(middle.address(), allow_cpython);
    const pid_t between = test::fork_child([&] {
        Connection to_victim = middle.accept(30s);
        Connection to_server = Client({.address = server.address()});
        pass_on(to_victim, to_server, [](std::string message) {
            if (message.starts_with(tag)) {
                message.replace(tag.size() + 8, 8, "nothing!");
            }
            return message;
        });
        return 0;
    });
    try {
        server.accept(60s);
        FAIL("somebody got in");
    } catch (const AuthenticationError&) {
        CHECK(allow_cpython);
    } catch (const EOFError&) {
        // The victim has refused, so there is nothing to judge.
        CHECK_FALSE(allow_cpython);
    } catch (const std::system_error&) {
        CHECK_FALSE(allow_cpython);
    }
    CHECK(test::exit_status(victim) != believed);
    CHECK(test::exit_status(between) == 0);
}

TEST_CASE(
    "P21: a response cannot be used at another server, nor a second time",
    "[authentication]"
) {
    Listener first({.family = Family::unix_socket});
    Listener second({.family = Family::unix_socket, .authkey = key});
    const pid_t victim = start_client(first.address(), true);
    Connection to_victim = first.accept(30s);
    to_victim.send_bytes(opening(false));
    const std::vector<std::byte> response = to_victim.recv_bytes();
    const pid_t thief = test::fork_child([&] {
        Connection to_server = Client({.address = second.address()});
        to_server.recv_bytes();
        to_server.send_bytes(response);
        return text_of(to_server.recv_bytes()) == "#FAILURE#" ? 0 : 1;
    });
    CHECK_THROWS_AS(second.accept(30s), AuthenticationError);
    CHECK(test::exit_status(thief) == 0);
    to_victim.close();
    CHECK(test::exit_status(victim) == gone);
}

TEST_CASE("P21: two of ours get through to each other", "[authentication]") {
    const bool allow_cpython = GENERATE(true, false);
    Listener server(
        {.family = Family::unix_socket, .authkey = key, .allow_cpython = allow_cpython}
    );
    const pid_t client = start_client(server.address(), GENERATE(true, false));
    CHECK_NOTHROW(server.accept(30s));
    CHECK(test::exit_status(client) == believed);
}
