// SPDX-License-Identifier: BSL-1.0
// Objects over a Connection: of many types, refused ones and damaged ones, and the
// descriptors that travel with them.
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/fork_child.hpp"
#include "support/proc.hpp"
#include "support/text_of.hpp"

#include <fcntl.h>

#include <map>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using test::bytes_of;
using test::connection_and_wire;
using test::echo;
using test::never;

namespace {

using Bytes = std::vector<std::byte>;

struct Point {
    int x = 0;
    double y = 0;
    std::string label;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& x& y& label;
    }

    friend bool operator==(const Point&, const Point&) = default;
};

struct Refusing {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::runtime_error("refused by the test");
    }
};

}  // namespace

TEST_CASE("Connection: objects of many types", "[connection][object]") {
    auto [a, b] = mp::Pipe();
    const std::vector<Point> points{{1, 2.5, "one"}, {-3, 0, ""}};
    a.send(1.75);
    a.send(points);
    a.send("text");
    a.send(std::string_view("view"));
    a.send(std::vector<double>(5000, 0.5));
    a.send(std::map<std::string, std::optional<int>>{{"a", 1}, {"b", std::nullopt}});
    CHECK(b.recv<double>() == 1.75);
    CHECK(b.recv<std::vector<Point>>() == points);
    CHECK(b.recv<std::string>() == "text");
    CHECK(b.recv<std::string>() == "view");
    CHECK(b.recv<std::vector<double>>() == std::vector<double>(5000, 0.5));
    CHECK(b.recv<std::map<std::string, std::optional<int>>>().at("a") == 1);
    CHECK_FALSE(b.poll());
    a.close();
    CHECK_THROWS_AS(b.recv<int>(), EOFError);
}

TEST_CASE(
    "Connection: the wrong type is an error of that message only",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    a.send(1);
    a.send_bytes("no object");
    a.send_bytes("");
    a.send(std::vector<int>{1, 2, 3});
    a.send(7L);
    CHECK_THROWS_AS(b.recv<unsigned>(), SerializationError);
    CHECK_THROWS_AS(b.recv<int>(), SerializationError);
    CHECK_THROWS_AS(b.recv<int>(), SerializationError);
    CHECK_THROWS_AS(b.recv<std::vector<unsigned>>(), SerializationError);
    CHECK(b.recv<long>() == 7);
}

TEST_CASE(
    "Connection: an object that is damaged on the way is an error of that message",
    "[connection][object]"
) {
    auto [a, wire] = connection_and_wire();
    auto [b, other_wire] = connection_and_wire();
    a.send(std::vector<std::string>{"one", "two"});
    Bytes frame(4);
    os::receive_exactly(wire.get(), frame, never);
    Bytes payload(static_cast<std::size_t>(frame[3]));
    os::receive_exactly(wire.get(), payload, never);
    Connection damaged(std::move(other_wire));
    for (std::size_t size = 0; size < payload.size(); ++size) {
        damaged.send_bytes(payload, 0, size);
        CHECK_THROWS_AS(b.recv<std::vector<std::string>>(), SerializationError);
    }
    Bytes longer = payload;
    longer.push_back(std::byte{0});
    damaged.send_bytes(longer);
    CHECK_THROWS_AS(b.recv<std::vector<std::string>>(), SerializationError);
    damaged.send_bytes(payload);
    CHECK(b.recv<std::vector<std::string>>().size() == 2);
}

TEST_CASE(
    "Connection: an object that refuses to be sent sends nothing",
    "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    CHECK_THROWS(a.send(Refusing()));
    CHECK_FALSE(b.poll());
    a.send(1);
    CHECK(b.recv<int>() == 1);
}

TEST_CASE("Connection: connections travel in messages", "[connection][object]") {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        auto [kept, sent] = mp::Pipe();
        b.send(std::map<std::string, Connection>{{"sent", sent}});
        sent.close();
        return echo(kept);
    });
    b.close();
    {
        auto received = a.recv<std::map<std::string, Connection>>();
        Connection& there = received.at("sent");
        CHECK((::fcntl(there.fileno(), F_GETFD) & FD_CLOEXEC) != 0);
        there.send_bytes("hello");
        CHECK(there.recv_bytes() == bytes_of("hello"));
    }
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("Connection: a sent end keeps its direction", "[connection][object]") {
    auto [a, b] = mp::Pipe();
    const pid_t child = test::fork_child([a = a, b = b]() mutable {
        a.close();
        auto writer = b.recv<Connection>();
        writer.send_bytes("written by the child");
        writer.close();
        auto reader = b.recv<Connection>();
        return writer.closed() && reader.readable() && !reader.writable() &&
                       reader.recv_bytes() == bytes_of("for the child")
                   ? 0
                   : 1;
    });
    b.close();
    {
        auto [reader, writer] = mp::Pipe(Duplex::no);
        a.send(writer);
        writer.close();
        CHECK(reader.recv_bytes() == bytes_of("written by the child"));
        CHECK_THROWS_AS(reader.recv_bytes(), EOFError);
    }
    auto [reader, writer] = mp::Pipe(Duplex::no);
    a.send(reader);
    reader.close();
    writer.send_bytes("for the child");
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE(
    "Connection: descriptors that nobody takes are closed", "[connection][object]"
) {
    auto [a, b] = mp::Pipe();
    const int before = test::open_descriptors();
    {
        const Connection sent = mp::Pipe().first;
        a.send(sent);
        CHECK_THROWS_AS(b.recv<int>(), SerializationError);
        a.send(sent);
        b.recv_bytes();
        a.send(sent);
    }
    a.close();
    b = Connection();
    CHECK(test::open_descriptors() == before - 2);
}

TEST_CASE("Connection: what cannot carry descriptors says so", "[connection][object]") {
    auto [reader, writer] = mp::Pipe(Duplex::no);
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(writer.send(a), StateError);
    CHECK_FALSE(reader.poll());
    CHECK_THROWS_AS(dumps(a), StateError);
    a.close();
    CHECK_THROWS_AS(b.send(a), std::system_error);
    CHECK_THROWS_AS(b.send(Connection()), std::system_error);
}
