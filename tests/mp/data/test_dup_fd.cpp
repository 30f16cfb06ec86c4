// SPDX-License-Identifier: BSL-1.0
// DupFd: a descriptor that travels.
#include "mp/dup_fd.hpp"
#include "mp/errors.hpp"
#include "mp/mp.hpp"

#include "os/pipe.hpp"
#include "support/catch.hpp"
#include "support/read_all.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <cerrno>
#include <map>
#include <string>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::read_all;

namespace {

void write_and_close(DupFd argument, Connection connection) {
    if (::write(argument.fileno(), "argument,", 9) != 9) {
        throw std::runtime_error("write");
    }
    argument.detach();
    const UniqueFd received = connection.recv<DupFd>().detach();
    if (::write(received.get(), "message", 7) != 7) {
        throw std::runtime_error("write");
    }
}

// Accepts over each family and hands the connections on, and a socket as it is.
void hand_on(Connection parent) {
    for (const Family family : {Family::unix_socket, Family::inet}) {
        Listener listener({.family = family});
        parent.send(listener.address());
        parent.send(listener.accept(30s));
    }
    Listener listener({.family = Family::inet});
    parent.send(listener.address());
    const Connection accepted = listener.accept(30s);
    parent.send(DupFd(accepted.fileno()));
}

}  // namespace

TEST_CASE("DupFd: duplicates, shares, gives away", "[dup_fd]") {
    auto [reader, writer] = os::make_pipe();
    DupFd dup(writer.get());
    CHECK(dup.fileno() != writer.get());
    DupFd copy = dup;
    CHECK(copy.fileno() == dup.fileno());
    writer.reset();
    {
        const UniqueFd given = copy.detach();
        CHECK(dup.fileno() == -1);
        CHECK_FALSE(dup.detach());
        CHECK(::write(given.get(), "x", 1) == 1);
    }
    CHECK(read_all(reader.get()) == "x");
    CHECK(DupFd().fileno() == -1);
    CHECK_FALSE(DupFd().detach());
    CHECK_THROWS_AS(DupFd(-1), std::system_error);
}

TEST_CASE("DupFd: as an argument and in a message", "[dup_fd][process]") {
    const Context ctx = each_start_method();
    auto [reader, writer] = os::make_pipe();
    auto [a, b] = Pipe();
    {
        const DupFd sent(std::move(writer));
        auto process = ctx.Process(write_and_close, sent, b);
        process.start();
        a.send(sent);
        process.join();
        CHECK(process.exitcode() == 0);
    }
    CHECK(read_all(reader.get()) == "argument,message");
}

TEST_CASE("DupFd: where nothing can carry it", "[dup_fd]") {
    const DupFd dup(0);
    CHECK_THROWS_AS(dumps(dup), StateError);
    auto [reader, writer] = Pipe(Duplex::no);
    CHECK_THROWS_AS(writer.send(dup), StateError);
    Listener listener({.family = Family::inet});
    Connection client = Client({.address = listener.address()});
    Connection server = listener.accept();
    CHECK_THROWS_AS(client.send(dup), StateError);
    CHECK_THROWS_AS(client.send(server), StateError);
    client.send(1);
    CHECK(server.recv<int>() == 1);
    auto [a, b] = Pipe();
    CHECK_THROWS_AS(a.send(DupFd()), std::system_error);
    CHECK_FALSE(b.poll());
}

TEST_CASE(
    "DupFd: accepted connections of each family, and a socket, handed on",
    "[dup_fd][listener][process]"
) {
    const Context ctx = each_start_method();
    auto [a, b] = Pipe();
    auto process = ctx.Process(hand_on, b);
    process.start();
    b.close();
    for (int i = 0; i < 2; ++i) {
        Connection client = Client({.address = a.recv<connection::Address>()});
        auto accepted = a.recv<Connection>();
        accepted.send_bytes("from here");
        CHECK(client.recv_bytes().size() == 9);
        client.send(std::string("back"));
        CHECK(accepted.recv<std::string>() == "back");
    }
    Connection client = Client({.address = a.recv<connection::Address>()});
    const UniqueFd socket = a.recv<DupFd>().detach();
    REQUIRE(::write(socket.get(), "\0\0\0\2hi", 6) == 6);
    CHECK(client.recv_bytes().size() == 2);
    process.join();
    CHECK(process.exitcode() == 0);
}
