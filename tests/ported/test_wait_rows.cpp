// SPDX-License-Identifier: BSL-1.0
// Waiting for connections and processes, by the rows of the conformance table.
#include "mp/mp.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <random>
#include <string>
#include <utility>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::wait;

namespace {

using Indices = std::vector<std::size_t>;

// Four children send ten messages each; everything arrives, and the end of each is
// seen.
template <class MakePair>
void messages_of_four_children(
    MakePair make_pair, std::chrono::microseconds longest_pause
) {
    std::vector<Connection> readers;
    std::vector<pid_t> children;
    for (int i = 0; i < 4; ++i) {
        auto [reader, writer] = make_pair();
        children.push_back(test::fork_child([&, i, reader = reader, writer = writer](
                                            ) mutable {
            for (Connection& other : readers) {
                other.close();
            }
            reader.close();
            std::minstd_rand random(static_cast<unsigned>(i));
            for (int m = 0; m < 10; ++m) {
                if (longest_pause.count() > 0) {
                    // A child that is slow is what this is about.
                    ::usleep(static_cast<useconds_t>(
                        random() % static_cast<unsigned long>(longest_pause.count())
                    ));
                }
                writer.send_bytes(std::string(1, static_cast<char>('0' + m)));
            }
            return 0;
        }));
        readers.push_back(reader);
    }
    std::vector<std::string> received(readers.size());
    std::vector<bool> ended(readers.size());
    std::vector<std::size_t> watched{0, 1, 2, 3};
    while (!watched.empty()) {
        std::vector<Connection> those;
        for (const std::size_t i : watched) {
            those.push_back(readers[i]);
        }
        std::vector<std::size_t> still;
        const Indices ready = wait(those, 30s);
        REQUIRE_FALSE(ready.empty());
        for (std::size_t k = 0; k < watched.size(); ++k) {
            const std::size_t i = watched[k];
            if (std::find(ready.begin(), ready.end(), k) == ready.end()) {
                still.push_back(i);
                continue;
            }
            try {
                const auto message = readers[i].recv_bytes();
                received[i].push_back(static_cast<char>(message.at(0)));
                still.push_back(i);
            } catch (const EOFError&) {
            }
        }
        watched = still;
    }
    for (const std::string& text : received) {
        CHECK(text == "0123456789");
    }
    for (const pid_t child : children) {
        CHECK(test::exit_status(child) == 0);
    }
}

std::pair<Connection, Connection> one_way() {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    return {reader, writer};
}

std::pair<Connection, Connection> sockets() {
    auto [a, b] = os::make_socketpair(os::SocketKind::stream);
    return {Connection(std::move(a)), Connection(std::move(b))};
}

void send_numbers(Connection writer) {
    for (int i = 0; i < 10; ++i) {
        writer.send(i);
    }
}

void wait_for_message(Connection connection) {
    connection.recv_bytes();
}

}  // namespace

TEST_CASE("TestWait.test_wait: messages of several children over pipes", "[wait]") {
    messages_of_four_children(one_way, 0us);
}

TEST_CASE("TestWait.test_wait_slow: the same with children that pause", "[wait]") {
    messages_of_four_children(one_way, 10ms);
}

TEST_CASE(
    "TestWait.test_wait_socket: messages of several children over sockets", "[wait]"
) {
    messages_of_four_children(sockets, 0us);
}

TEST_CASE(
    "TestWait.test_wait_socket_slow: the same with children that pause", "[wait]"
) {
    messages_of_four_children(sockets, 10ms);
}

TEST_CASE(
    "TestWait.test_wait_timeout: not earlier, and then exactly the ready one", "[wait]"
) {
    auto [a, b] = mp::Pipe();
    const auto start = std::chrono::steady_clock::now();
    CHECK(wait({a, b}, 100ms).empty());
    CHECK(std::chrono::steady_clock::now() - start >= 100ms);
    b.send_bytes("x");
    CHECK(wait({a, b}, 20s) == Indices{0});
    a.send_bytes("x");
    CHECK(wait({a, b}) == Indices{0, 1});
}

TEST_CASE("TestWait.test_neg_timeout: a negative timeout only looks", "[wait]") {
    auto [a, b] = mp::Pipe();
    const auto start = std::chrono::steady_clock::now();
    CHECK(wait({a}, -1s).empty());
    CHECK(wait({a}, 0s).empty());
    CHECK(std::chrono::steady_clock::now() - start < test::patience(1s));
    b.send_bytes("x");
    CHECK(wait({a}, -1s) == Indices{0});
}

TEST_CASE(
    "_TestConnection.test_wait_empty: nothing to watch waits for the timeout", "[wait]"
) {
    const auto start = std::chrono::steady_clock::now();
    CHECK(wait({}, 50ms).empty());
    CHECK(wait(std::vector<Connection>(), 50ms).empty());
    CHECK(std::chrono::steady_clock::now() - start >= 100ms);
    CHECK(wait({}, -1s).empty());
}

TEST_CASE(
    "TestWait.test_wait: messages of four processes, then the end of each",
    "[wait][process]"
) {
    const mp::Context ctx = each_start_method();
    std::vector<Connection> readers;
    std::vector<mp::Process> processes;
    for (int i = 0; i < 4; ++i) {
        auto [reader, writer] = mp::Pipe(mp::Duplex::no);
        processes.push_back(ctx.Process({.daemon = true}, send_numbers, writer));
        processes.back().start();
        readers.push_back(reader);
    }
    int received = 0;
    while (!readers.empty()) {
        const auto ready = mp::connection::wait(readers);
        for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
            const auto at = readers.begin() + static_cast<std::ptrdiff_t>(*i);
            try {
                at->recv<int>();
                ++received;
            } catch (const mp::EOFError&) {
                readers.erase(at);
            }
        }
    }
    CHECK(received == 40);
    for (mp::Process& process : processes) {
        process.join();
    }
}

TEST_CASE(
    "TestWait.test_wait_integer: a process among connections", "[wait][process]"
) {
    const mp::Context ctx = each_start_method();
    auto [a, b] = mp::Pipe();
    auto [start, starter] = mp::Pipe(mp::Duplex::no);
    auto process = ctx.Process(wait_for_message, start);
    process.start();
    CHECK(mp::connection::wait({a, process, b}, 10ms).empty());
    starter.send_bytes("go");
    using Ready = std::vector<std::size_t>;
    CHECK(mp::connection::wait({a, process, b}, 20s) == Ready{1});
    a.send_bytes("x");
    CHECK(mp::connection::wait({a, process.sentinel(), b}, 20s) == Ready{1, 2});
    process.join();
}
