// SPDX-License-Identifier: BSL-1.0
// What happens to waiting: among signals, for nothing at all, and for hundreds of
// things.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/signal_storm.hpp"
#include "support/start_methods.hpp"

#include <sys/eventfd.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <future>
#include <string>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using mp::connection::wait;

namespace {

using Ready = std::vector<std::size_t>;

void sleep_for_ever(Connection connection) {
    connection.recv_bytes();
}

}  // namespace

TEST_CASE("P4: accept, Client, poll and wait among signals", "[connection]") {
    const test::SignalStorm storm;
    Listener listener({.family = Family::inet, .authkey = "key"});
    auto client = std::async(std::launch::async, [&] {
        const test::SignalStorm another;
        Connection connection =
            Client({.address = listener.address(), .authkey = "key"});
        for (int i = 0; i < 20; ++i) {
            connection.send(std::string(200'000, 'x'));
        }
        return connection;
    });
    Connection accepted = listener.accept();
    for (int i = 0; i < 20; ++i) {
        CHECK(accepted.poll(30s));
        CHECK(accepted.recv<std::string>().size() == 200'000);
    }
    const auto start = std::chrono::steady_clock::now();
    while (storm.count() == 0) {
        CHECK(wait({accepted, listener}, 10ms).empty());
    }
    CHECK(wait({accepted, listener}, 60ms).empty());
    CHECK_FALSE(accepted.poll(60ms));
    const auto took = std::chrono::steady_clock::now() - start;
    CHECK(took >= 120ms);
    CHECK(took < test::patience(1s));
    client.get();
}

TEST_CASE("P19: wait: of nothing, it takes its time, also among signals", "[wait]") {
    const test::SignalStorm storm;
    const auto start = std::chrono::steady_clock::now();
    do {
        CHECK(wait({}, 50ms).empty());
    } while (storm.count() == 0);
    CHECK(std::chrono::steady_clock::now() - start >= 50ms);
}

TEST_CASE("wait: hundreds of things of every kind", "[wait][process]") {
    const Context ctx = each_start_method();
    // First: a forked child would hold the ends of pipes open.
    auto [a, b] = Pipe();
    auto process = ctx.Process(sleep_for_ever, b);
    process.start();
    constexpr std::size_t pipes = 250;
    std::vector<Connection> readers;
    std::vector<Connection> writers;
    for (std::size_t i = 0; i < pipes; ++i) {
        auto [reader, writer] = Pipe(Duplex::no);
        readers.push_back(reader);
        writers.push_back(writer);
    }
    Listener listener({.family = Family::unix_socket});
    const UniqueFd event(::eventfd(0, EFD_CLOEXEC));
    std::vector<connection::Waitable> all(readers.begin(), readers.end());
    all.emplace_back(listener);
    all.emplace_back(event.get());
    all.emplace_back(process);
    CHECK(wait(all, 0s).empty());
    writers[7].send(1);
    writers[249].close();
    CHECK(wait(all, 30s) == Ready{7, 249});
    readers[7].recv<int>();
    all[249] = readers[0];
    const Connection client = Client({.address = listener.address()});
    CHECK(wait(all, 30s) == Ready{pipes});
    listener.accept(30s);
    const std::uint64_t once = 1;
    REQUIRE(::write(event.get(), &once, sizeof once) == sizeof once);
    CHECK(wait(all, 30s) == Ready{pipes + 1});
    all.erase(all.end() - 2);
    a.send_bytes("");
    CHECK(wait(all, 30s) == Ready{pipes + 1});
    process.join();
}
