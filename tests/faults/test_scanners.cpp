// SPDX-License-Identifier: BSL-1.0
// What a Listener with a key does about those who are no clients: accept() goes on, and
// they are counted and logged, so many a minute.
#include "mp/errors.hpp"
#include "mp/listener.hpp"
#include "mp/log.hpp"

#include "os/socket.hpp"
#include "support/callers.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_capture.hpp"
#include "support/patience.hpp"
#include "support/text_of.hpp"
#include "wire/refusals.hpp"

#include <fcntl.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using mp::connection::ListenerStatistics;
using test::any_family;
using test::beside;
using test::bytes_of;
using test::caller;
using test::key;
using test::text_of;

namespace {

UniqueFd bare_call(const Address& address) {
    Connection connection = Client({.address = address, .timeout = 30s});
    return UniqueFd(::fcntl(connection.fileno(), F_DUPFD_CLOEXEC, 3));
}

// accept() until `done`; everything that comes out of it is an error.
template <class Done>
bool accept_until(Listener& listener, Done done) {
    const Deadline deadline(test::patience(1500ms));
    while (!done(listener.statistics())) {
        if (deadline.expired()) {
            return false;
        }
        CHECK_THROWS_AS(listener.accept(5ms), mp::TimeoutError);
    }
    return true;
}

}  // namespace

TEST_CASE("P25: accept() gives clients, not the mistakes of scanners", "[listener]") {
    const test::LogCapture log;
    Listener listener({.family = any_family(), .authkey = key});
    std::vector<UniqueFd> scanners;
    const auto scan = [&](std::string_view says) {
        scanners.push_back(bare_call(listener.address()));
        os::send_all(scanners.back().get(), bytes_of(says), Deadline(30s));
    };
    scan("GET / HTTP/1.1\r\nHost: x\r\n\r\n");
    scan(std::string_view("\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03", 11));
    scan(std::string_view("\xff\xff\xff\xff\xff", 5));
    scan(std::string_view("\0\0\0\4what", 8));
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.protocol_errors == 4;
    }));
    for (const UniqueFd& scanner : scanners) {
        std::vector<std::byte> buffer(200);
        while (os::receive_some(scanner.get(), buffer, Deadline(30s)) > 0) {
        }
    }
    bare_call(listener.address());
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.disconnected == 1;
    }));
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
    const ListenerStatistics all = listener.statistics();
    CHECK(all.accepted == 1);
    CHECK(all.authentication_failures == 0);
    CHECK(all.timeouts == 0);
    CHECK(all.dropped == 0);
    CHECK(all.refused_users == 0);
    listener.close();
    CHECK(listener.statistics().accepted == 1);
}

TEST_CASE("P25: accept() throws what scanners do, where it is asked to", "[listener]") {
    Listener listener(
        {.family = Family::unix_socket, .authkey = key, .throw_protocol_errors = true}
    );
    const UniqueFd scanner = bare_call(listener.address());
    os::send_all(scanner.get(), bytes_of("GET / HTTP/1.1\r\n\r\n"), Deadline(30s));
    CHECK_THROWS_AS(listener.accept(30s), AuthenticationError);
    CHECK(listener.statistics().protocol_errors == 1);
    bare_call(listener.address());
    CHECK_THROWS(listener.accept(30s));
    CHECK(listener.statistics().disconnected == 1);
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
}

TEST_CASE("P14 P25: silence and wrong keys are counted, too", "[listener]") {
    const test::LogCapture log;
    Listener listener(
        {.family = Family::unix_socket, .authkey = key, .handshake_timeout = 20ms}
    );
    std::vector<Connection> silent;
    for (int i = 0; i < 3; ++i) {
        silent.push_back(Client({.address = listener.address()}));
    }
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.timeouts == 3;
    }));
    // One that gives everybody time to say what is wrong.
    Listener patient({.family = Family::unix_socket, .authkey = key});
    auto wrong = beside([&] {
        Client({.address = patient.address(), .authkey = "wrong", .timeout = 30s});
    });
    CHECK_THROWS_AS(patient.accept(30s), AuthenticationError);
    CHECK_THROWS_AS(wrong.get(), AuthenticationError);
    CHECK(patient.statistics().authentication_failures == 1);
    // A forked child has a count of its own.
    CHECK(test::run_in_fork([&] {
              if (listener.statistics().timeouts != 0) {
                  return 2;
              }
              try {
                  listener.accept(0s);
              } catch (const mp::TimeoutError&) {
              }
              return listener.statistics().timeouts == 0 ? 0 : 1;
          }) == 0);
}

TEST_CASE("P14: a client that is sent away while a child lives", "[listener]") {
    const test::LogCapture log;
    Listener listener(
        {.family = any_family(), .authkey = key, .handshake_timeout = 100ms}
    );
    Connection silent = Client({.address = listener.address()});
    CHECK_THROWS_AS(listener.accept(0s), mp::TimeoutError);
    auto [ours, theirs] = mp::Pipe();
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        silent.close();
        theirs.poll(forever);
        return 0;
    });
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.timeouts == 1;
    }));
    silent.recv_bytes();  // the challenge
    REQUIRE(silent.poll(30s));
    CHECK_THROWS_AS(silent.recv_bytes(), EOFError);
    ours.close();
    theirs.close();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("P14: a scanner that is sent away while a child lives", "[listener]") {
    const test::LogCapture log;
    Listener listener({.family = any_family(), .authkey = key});
    UniqueFd scanner = bare_call(listener.address());
    CHECK_THROWS_AS(listener.accept(0s), mp::TimeoutError);
    auto [ours, theirs] = mp::Pipe();
    const pid_t child = test::fork_child([&, &ours = ours, &theirs = theirs] {
        ours.close();
        scanner.reset();
        theirs.poll(forever);
        return 0;
    });
    os::send_all(scanner.get(), bytes_of("GET / HTTP/1.1\r\n"), Deadline(30s));
    CHECK(accept_until(listener, [](const ListenerStatistics& now) {
        return now.protocol_errors == 1;
    }));
    // The challenge, then the end.
    std::array<std::byte, 256> said{};
    while (os::receive_some(scanner.get(), said, Deadline(30s)) != 0) {
    }
    ours.close();
    theirs.close();
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("P25: scanners leave the log lines for other users", "[listener]") {
    const test::LogCapture log;
    detail::Refusals refusals;
    for (int i = 0; i < 100; ++i) {
        refusals.count(detail::Outcome::protocol_error, [] { return "a scanner"; });
    }
    refusals.count(detail::Outcome::refused_user, [] { return "another user"; });
    CHECK(log.text().find("another user") != std::string::npos);
    CHECK(refusals.statistics().protocol_errors == 100);
    CHECK(refusals.statistics().refused_users == 1);
}

TEST_CASE("P23: refused clients do not fill the log, nor the table", "[listener]") {
    const test::LogCapture log;
    const auto before = get_logger().level();
    get_logger().set_level(spdlog::level::info);
    Listener listener({.family = Family::unix_socket, .authkey = key});
    for (std::uint64_t i = 1; i <= 2000; ++i) {
        const UniqueFd scanner = bare_call(listener.address());
        if (i % 2 == 0) {
            os::send_all(scanner.get(), bytes_of("GET / HTTP/1.1\r\n"), Deadline(30s));
        }
        if (i % 100 == 0) {
            REQUIRE(accept_until(listener, [&](const ListenerStatistics& now) {
                return now.protocol_errors + now.disconnected == i;
            }));
        }
    }
    get_logger().set_level(before);
    // So many a minute, and a minute may end in between.
    const std::string text = log.text();
    const auto lines = std::count(text.begin(), text.end(), '\n');
    CHECK(lines >= 30);
    CHECK(lines < 200);
    CHECK(listener.statistics().dropped == 0);
    auto good = caller(listener.address(), "in");
    CHECK(text_of(listener.accept(30s).recv_bytes()) == "in");
    good.get();
}
