// SPDX-License-Identifier: BSL-1.0
// Client: servers that are not there, that are busy or slow, or that do not know the
// key.
#include "mp/authentication.hpp"
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/signal_storm.hpp"
#include "support/temp_dir.hpp"

#include <cerrno>
#include <chrono>
#include <future>
#include <string>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::beside;
using test::error_of;
using test::key;

TEST_CASE("Client: nobody listens", "[listener]") {
    const test::TempDir directory;
    const std::string path = directory.path() / "socket";
    CHECK(error_of([&] { Client({.address = path}); }) == ENOENT);
    Address closed;
    {
        const Listener listener({.family = Family::inet});
        closed = listener.address();
    }
    CHECK(error_of([&] { Client({.address = closed}); }) == ECONNREFUSED);
}

TEST_CASE("Client: a server that is busy", "[listener]") {
    const Family family = GENERATE(Family::unix_socket, Family::inet);
    Listener listener({.family = family, .backlog = 1, .authkey = key});
    // Connected or not: nobody accepts, so the handshake does not even begin.
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .authkey = key, .timeout = 30ms}),
        TimeoutError
    );
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .authkey = key, .timeout = 0s}),
        TimeoutError
    );
}

TEST_CASE("Client: a backlog that is full ends at the timeout", "[listener]") {
    Listener listener({.family = Family::unix_socket, .backlog = 0});
    const Connection first = Client({.address = listener.address()});
    CHECK_THROWS_AS(
        Client({.address = listener.address(), .timeout = 20ms}), TimeoutError
    );
    CHECK_NOTHROW(listener.accept(20s));
    CHECK_NOTHROW(Client({.address = listener.address(), .timeout = 20s}));
}

TEST_CASE("Client: waits for a server that is slow, among signals", "[listener]") {
    Listener listener({.family = Family::unix_socket, .backlog = 0});
    const Connection first = Client({.address = listener.address()});
    std::promise<void> started;
    auto second = beside([&] {
        const test::SignalStorm storm;
        started.set_value();
        return Client({.address = listener.address(), .timeout = 30s});
    });
    started.get_future().wait();
    CHECK(second.wait_for(20ms) == std::future_status::timeout);
    listener.accept();
    listener.accept(30s);
    CHECK_FALSE(second.get().closed());
}

TEST_CASE("Client: a server with another key", "[listener]") {
    Listener listener({.family = Family::unix_socket});
    auto client = beside([&] {
        Client({.address = listener.address(), .authkey = key, .timeout = 30s});
    });
    // It can judge us, but does not know the key.
    const Connection accepted = listener.accept(30s);
    connection::deliver_challenge(accepted, AuthenticationString(key));
    CHECK_THROWS_AS(
        connection::answer_challenge(accepted, AuthenticationString("wrong")),
        AuthenticationError
    );
    CHECK_THROWS_AS(client.get(), AuthenticationError);
}
