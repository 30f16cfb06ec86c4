// SPDX-License-Identifier: BSL-1.0
// The handshake in which two processes show each other that they know a key: among
// ourselves, and with CPython.
#include "mp/authentication.hpp"
#include "mp/errors.hpp"

#include "os/socket.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/challenges.hpp"
#include "support/fork_child.hpp"
#include "support/python.hpp"
#include "support/text_of.hpp"

#include <signal.h>

#include <exception>
#include <string>
#include <string_view>

using namespace mp;
using mp::connection::answer_challenge;
using mp::connection::deliver_challenge;
using test::beside;
using test::Handshake;
using test::text_of;

namespace {

const AuthenticationString& key = test::secret;

}  // namespace

TEST_CASE("authentication: both halves, one after the other", "[authentication]") {
    const AuthenticationString used = GENERATE(
        AuthenticationString("the key"),
        AuthenticationString(""),
        AuthenticationString(std::string_view("\0\xff\n", 3)),
        AuthenticationString(std::string(1000, 'k'))
    );
    Handshake wire;
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

TEST_CASE("authentication: the other side goes", "[authentication]") {
    Handshake wire;
    wire.theirs.close();
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), EOFError);
    CHECK_THROWS_AS(deliver_challenge(wire.ours, key), std::system_error);
    wire.ours.close();
    CHECK_THROWS_AS(answer_challenge(wire.ours, key), std::system_error);

    Handshake killed;
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
            const connection::ChallengeOptions options{.allow_md5 = true};
            if (server) {
                answer_challenge(connection, key, options);
                deliver_challenge(connection, key, options);
            } else {
                deliver_challenge(connection, key, options);
                answer_challenge(connection, key, options);
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
