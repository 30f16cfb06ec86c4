// SPDX-License-Identifier: BSL-1.0
// A C++ program and a real CPython as the two ends of one Listener: every version found
// on this machine, either as server, over each family; keys, sizes, descriptors, death.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/pattern.hpp"
#include "support/python.hpp"
#include "support/temp_dir.hpp"
#include "support/text_of.hpp"

#include <unistd.h>

#include <array>
#include <chrono>
#include <exception>
#include <string>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::inet;
using mp::connection::Listener;
using test::key;
using test::pattern;
using test::text_of;

namespace {

// A Python script and the connection by which it is told what to do.
class Peer {
public:
    Peer(const std::string& program, const std::string& script) {
        auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
        control_ = Connection(std::move(ours));
        child_ = test::run_python(program, script, theirs.get());
    }

    ~Peer() {
        if (child_ > 0) {
            ::kill(child_, SIGKILL);
            test::exit_status(child_);
        }
    }

    Peer(const Peer&) = delete;
    Peer& operator=(const Peer&) = delete;

    void tell(std::string_view text) { control_.send_bytes(text); }

    std::string hear() {
        return control_.poll(30s) ? text_of(control_.recv_bytes()) : "silence";
    }

    int exit_status() { return test::exit_status(std::exchange(child_, -1)); }

    static bool is_missing(const std::string& program) {
        return test::exit_status(test::run_python(program, "pass", 0)) == 127;
    }

private:
    Connection control_;
    pid_t child_ = -1;
};

// Each CPython that is there.
template <class Test>
void each_python(Test test) {
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        if (!Peer::is_missing(program)) {
            INFO(program);
            test(program);
            ++spoken_with;
        }
    }
    if (spoken_with == 0) {
        WARN("no python3 on this machine: not tested");
    }
}

// What every script begins with: its orders, and addresses as text.
const std::string prelude = R"(
import sys
from multiprocessing import AuthenticationError
from multiprocessing.connection import Client, Connection, Listener
control = Connection(int(sys.argv[1]))
def order():
    return control.recv_bytes().decode()
def address_order():
    host, port = order(), order()
    return (host, int(port)) if port else host
)";

void tell_address(Peer& peer, const Address& address) {
    if (address.family() == Family::unix_socket) {
        peer.tell(address.path());
        peer.tell("");
    } else {
        peer.tell(address.host());
        peer.tell(std::to_string(address.port()));
    }
}

// Python 2 is no peer; AF_INET6 is none of CPython's families.
Address address_in(const test::TempDir& directory, Family family) {
    return family == Family::unix_socket
               ? Address((directory.path() / "socket").string())
               : inet("127.0.0.1", 0);
}

}  // namespace

TEST_CASE("W1: CPython calls our Listener, with the right key", "[listener][python]") {
    const std::string script = prelude + R"(
c = Client(address_order(), authkey=b'the key')
while True:
    data = c.recv_bytes()
    if data == b'end':
        break
    c.send_bytes(data)
c.send_bytes(b'%d' % sys.version_info[1])
)";
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    each_python([&](const std::string& program) {
        const test::TempDir directory;
        Listener listener(
            {.address = address_in(directory, family),
             .authkey = key,
             .allow_md5 = true}
        );
        Peer peer(program, script);
        tell_address(peer, listener.address());
        Connection connection = listener.accept(30s);
        for (const std::size_t size : test::message_sizes) {
            connection.send_bytes(pattern(size));
            CHECK(connection.recv_bytes() == pattern(size));
        }
        connection.send_bytes("end");
        CHECK(std::stoi(text_of(connection.recv_bytes())) >= 6);
        CHECK(peer.exit_status() == 0);
    });
}

TEST_CASE("W1: we call CPython's Listener, with the right key", "[listener][python]") {
    const std::string script = prelude + R"(
address = address_order()
with Listener(address, authkey=b'the key') as listener:
    address = listener.address
    control.send_bytes(str(address[1] if isinstance(address, tuple) else 0).encode())
    c = listener.accept()
    while True:
        data = c.recv_bytes()
        if data == b'end':
            break
        c.send_bytes(data)
)";
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    each_python([&](const std::string& program) {
        const test::TempDir directory;
        Address address = address_in(directory, family);
        Peer peer(program, script);
        tell_address(peer, address);
        const auto port = static_cast<std::uint16_t>(std::stoi(peer.hear()));
        if (family == Family::inet) {
            address = inet("127.0.0.1", port);
        }
        Connection connection = Client(
            {.address = address, .authkey = key, .timeout = 30s, .allow_md5 = true}
        );
        for (const std::size_t size : test::message_sizes) {
            connection.send_bytes(pattern(size));
            CHECK(connection.recv_bytes() == pattern(size));
        }
        connection.send_bytes("end");
        CHECK_THROWS_AS(connection.recv_bytes(), EOFError);
        CHECK(peer.exit_status() == 0);
    });
}

TEST_CASE("P13: CPython with another key", "[listener][python]") {
    const bool python_serves = GENERATE(false, true);
    const std::string script = prelude + (python_serves ? R"(
with Listener(address_order(), authkey=b'wrong') as listener:
    control.send_bytes(b'listening')
    try:
        listener.accept()
    except AuthenticationError:
        control.send_bytes(b'refused')
)"
                                                        : R"(
try:
    Client(address_order(), authkey=b'wrong')
except AuthenticationError:
    control.send_bytes(b'refused')
)");
    each_python([&](const std::string& program) {
        const test::TempDir directory;
        const Address address((directory.path() / "socket").string());
        Peer peer(program, script);
        if (python_serves) {
            tell_address(peer, address);
            CHECK(peer.hear() == "listening");
            CHECK_THROWS_AS(
                Client(
                    {.address = address,
                     .authkey = key,
                     .timeout = 30s,
                     .allow_md5 = true}
                ),
                AuthenticationError
            );
        } else {
            Listener listener({.address = address, .authkey = key, .allow_md5 = true});
            tell_address(peer, address);
            CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
        }
        CHECK(peer.hear() == "refused");
        CHECK(peer.exit_status() == 0);
    });
}

TEST_CASE(
    "P13: MD5 is refused unless asked for: only CPython 3.12 and newer get in",
    "[listener][python]"
) {
    const std::string script = prelude + R"(
control.send_bytes(b'new' if sys.version_info >= (3, 12) else b'old')
try:
    Client(address_order(), authkey=b'the key').send_bytes(b'in')
except AuthenticationError:
    pass
)";
    each_python([&](const std::string& program) {
        Listener listener({.family = Family::unix_socket, .authkey = key});
        Peer peer(program, script);
        const bool is_new = peer.hear() == "new";
        tell_address(peer, listener.address());
        if (is_new) {
            CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
        } else {
            CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
        }
        CHECK(peer.exit_status() == 0);
    });
}

TEST_CASE("W1: a modern peer, whatever Python there is", "[listener][python]") {
    // The handshake of 3.12 and newer, by docs/protocols/authentication.md, in a few
    // lines of its own.
    const std::string script = prelude + R"(
import hashlib, hmac, os
name = order()
address = address_order()
TAG, WELCOME, FAILURE = b'#CHALLENGE#', b'#WELCOME#', b'#FAILURE#'
KEY = b'the key'

def answer(c):
    message = c.recv_bytes(256)
    assert message[:len(TAG)] == TAG, message
    message = message[len(TAG):]
    # Any digest may be chosen for the answer, whatever the challenge names.
    c.send_bytes(b'{%s}' % name.encode() + hmac.new(KEY, message, name).digest())
    assert c.recv_bytes(256) == WELCOME

def deliver(c):
    message = b'{%s}' % name.encode() + os.urandom(40)
    c.send_bytes(TAG + message)
    prefix, mac = c.recv_bytes(256).split(b'}', 1)
    right = prefix + b'}' == message[:len(prefix) + 1] and hmac.compare_digest(
        mac, hmac.new(KEY, message, name).digest())
    c.send_bytes(WELCOME if right else FAILURE)
    assert right

c = Client(address)
answer(c)
deliver(c)
c.send_bytes(b'through')
)";
    const std::string digest =
        GENERATE("md5", "sha256", "sha384", "sha3_256", "sha3_384");
    const std::string program = "python3";
    if (Peer::is_missing(program)) {
        WARN("no python3 on this machine: not tested");
        return;
    }
    Listener listener({.family = Family::unix_socket, .authkey = key, .allow_md5 = true}
    );
    Peer peer(program, script);
    peer.tell(digest);
    tell_address(peer, listener.address());
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "through");
    CHECK(peer.exit_status() == 0);
}

TEST_CASE(
    "P8: descriptors between CPython and us, over a Listener", "[listener][python]"
) {
    const std::string script = prelude + R"(
import os
from multiprocessing.reduction import recv_handle, send_handle
c = Client(address_order(), authkey=b'the key')
c.send_bytes(b'acknowledge' if sys.version_info >= (3, 14) else b'no')
fd = recv_handle(c)
os.write(fd, b'from python')
os.close(fd)
r, w = os.pipe()
send_handle(c, w, os.getppid())
os.close(w)
c.send_bytes(os.read(r, 100))
)";
    each_python([&](const std::string& program) {
        Listener listener(
            {.family = Family::unix_socket, .authkey = key, .allow_md5 = true}
        );
        Peer peer(program, script);
        tell_address(peer, listener.address());
        Connection connection = listener.accept(30s);
        const HandleOptions options{
            .acknowledge = text_of(connection.recv_bytes()) == "acknowledge"};
        std::array<int, 2> ends{};
        REQUIRE(::pipe(ends.data()) == 0);
        const UniqueFd reader(ends[0]);
        UniqueFd writer(ends[1]);
        send_handle(connection, writer.get(), options);
        writer.reset();
        std::array<char, 20> text{};
        CHECK(::read(reader.get(), text.data(), text.size()) == 11);
        CHECK(std::string(text.data()) == "from python");
        CHECK(::write(recv_handle(connection, options).get(), "from us", 7) == 7);
        CHECK(text_of(connection.recv_bytes()) == "from us");
        CHECK(peer.exit_status() == 0);
    });
}

TEST_CASE("W2: CPython is killed in the middle of a message", "[listener][python]") {
    const std::string script = prelude + R"(
import os, signal
c = Client(address_order(), authkey=b'the key')
c.send_bytes(b'whole')
os.write(c.fileno(), b'\0\0\1\0half')
os.kill(os.getpid(), signal.SIGKILL)
)";
    each_python([&](const std::string& program) {
        Listener listener(
            {.family = Family::unix_socket, .authkey = key, .allow_md5 = true}
        );
        Peer peer(program, script);
        tell_address(peer, listener.address());
        Connection connection = listener.accept(30s);
        CHECK(text_of(connection.recv_bytes()) == "whole");
        CHECK_THROWS_AS(connection.recv_bytes(), std::system_error);
        CHECK(peer.exit_status() == -SIGKILL);
    });
}
