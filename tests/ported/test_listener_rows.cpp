// SPDX-License-Identifier: BSL-1.0
// Listener and Client, by the rows of the conformance table, under every start method.
#include "mp/mp.hpp"

#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/signal_storm.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"
#include "support/text_of.hpp"

#include <cerrno>
#include <chrono>
#include <filesystem>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using mp::Connection;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::any_family;
using test::error_of;
using test::text_of;

namespace {

void say_hello(Address address) {
    Connection connection = Client({.address = address});
    connection.send("hello");
}

// With the key of the family, which a child inherits.
void say_hello_with_key(Address address) {
    Connection connection = Client(
        {.address = address, .authkey = mp::current_process().authkey(), .timeout = 30s}
    );
    connection.send("hello with the key");
}

void answer_with_empty_key(Address address) {
    Connection connection = Client({.address = address, .authkey = "", .timeout = 30s});
    connection.send("hello with no letters");
}

void wait_to_be_polled(Address address) {
    Connection connection = Client({.address = address});
    if (connection.poll(30s)) {
        connection.send(text_of(connection.recv_bytes()));
    }
}

void serve(Connection found, std::string path) {
    static Listener listener({.address = path});
    found.send(listener.address());
    listener.accept().send("served");
}

}  // namespace

TEST_CASE("_TestListener.test_multiple_bind: an address belongs to one", "[listener]") {
    const Family family = any_family();
    const Listener listener({.family = family});
    CHECK(error_of([&] {
              Listener({.address = listener.address(), .family = family});
          }) == EADDRINUSE);
}

TEST_CASE(
    "_TestListener.test_context: everything closes with its scope", "[listener]"
) {
    Address address;
    {
        Listener listener;
        address = listener.address();
        Connection client = Client({.address = address});
        {
            Connection accepted = listener.accept();
            accepted.send(1729);
        }
        CHECK(client.recv<int>() == 1729);
        CHECK_THROWS_AS(client.recv<int>(), mp::EOFError);
        listener.close();
        CHECK_THROWS_AS(listener.accept(), std::system_error);
    }
    CHECK(error_of([&] { Client({.address = address}); }) == ECONNREFUSED);
}

TEST_CASE(
    "_TestListener.test_empty_authkey: no letters are a key, too", "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    Listener listener({.authkey = ""});
    auto process = ctx.Process(answer_with_empty_key, listener.address());
    process.start();
    CHECK(listener.accept(30s).recv<std::string>() == "hello with no letters");
    process.join();
    CHECK(process.exitcode() == 0);
    // Somebody without any key gets the challenge for a message, and does not get in.
    Connection client = Client({.address = listener.address()});
    CHECK_THROWS_AS(listener.accept(10ms), mp::TimeoutError);
    CHECK(text_of(client.recv_bytes()).substr(0, 11) == "#CHALLENGE#");
    listener.close();
    CHECK_THROWS_AS(listener.accept(), std::system_error);
}

TEST_CASE(
    "_TestListener.test_abstract_socket: an address that begins with NUL",
    "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    const std::string name("\0libmp-test-something", 21);
    Listener listener({.address = name});
    CHECK(listener.address() == Address(name));
    auto process = ctx.Process(say_hello, listener.address());
    process.start();
    CHECK(listener.accept(30s).recv<std::string>() == "hello");
    process.join();
    CHECK(process.exitcode() == 0);
    listener.close();
    CHECK_THROWS_AS(listener.accept(), std::system_error);
}

TEST_CASE(
    "_TestListenerClient.test_listener_client: a child calls", "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    Listener listener({.family = any_family()});
    auto process = ctx.Process({.daemon = true}, say_hello, listener.address());
    process.start();
    CHECK(listener.accept(30s).recv<std::string>() == "hello");
    process.join();
    CHECK(process.exitcode() == 0);

    Listener closed(
        {.family = Family::unix_socket, .authkey = mp::current_process().authkey()}
    );
    auto relative = ctx.Process(say_hello_with_key, closed.address());
    relative.start();
    CHECK(closed.accept(30s).recv<std::string>() == "hello with the key");
    relative.join();
    CHECK(relative.exitcode() == 0);
}

TEST_CASE(
    "_TestListenerClient.test_issue14725: a client that is gone before accept()",
    "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    Listener listener({.family = any_family()});
    auto process = ctx.Process(say_hello, listener.address());
    process.start();
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(listener.accept(30s).recv<std::string>() == "hello");
}

TEST_CASE(
    "_TestListenerClient.test_issue16955: what was sent can be seen by poll()",
    "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    Listener listener({.family = any_family()});
    auto process = ctx.Process(wait_to_be_polled, listener.address());
    process.start();
    Connection accepted = listener.accept(30s);
    accepted.send_bytes("polled");
    CHECK(accepted.recv<std::string>() == "polled");
    process.join();
    CHECK(process.exitcode() == 0);
}

TEST_CASE(
    "Listener: a child that ends without closing it removes its file",
    "[listener][process]"
) {
    const mp::Context ctx = each_start_method();
    const test::TempDir directory;
    auto [a, b] = ctx.Pipe();
    auto process = ctx.Process(serve, b, (directory.path() / "socket").string());
    process.start();
    const auto address = a.recv<Address>();
    Connection client = Client({.address = address});
    CHECK(client.recv<std::string>() == "served");
    process.join();
    CHECK(process.exitcode() == 0);
    CHECK(std::filesystem::is_empty(directory.path()));
}

TEST_CASE("TestIgnoreEINTR.test_ignore_listener: signals", "[listener]") {
    Listener listener({.family = any_family(), .authkey = test::key});
    std::promise<void> storming;
    auto client = test::beside([&] {
        storming.get_future().wait();
        return test::caller(listener.address(), "welcome").get();
    });
    const test::SignalStorm storm;
    do {
        CHECK_THROWS_AS(listener.accept(20ms), mp::TimeoutError);
    } while (storm.count() == 0);
    storming.set_value();
    CHECK(text_of(listener.accept().recv_bytes()) == "welcome");
    client.get();
}

TEST_CASE(
    "TestInvalidFamily.test_invalid_family: the address of a Windows pipe", "[address]"
) {
    CHECK_THROWS_AS(Address(R"(\\.\test)"), std::invalid_argument);
}
