// SPDX-License-Identifier: BSL-1.0
// The frames in which a Connection's messages travel, byte by byte, and as CPython
// reads and writes them.
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/connections.hpp"
#include "support/error_of.hpp"
#include "support/pattern.hpp"
#include "support/python.hpp"
#include "support/text_of.hpp"

#include <cerrno>
#include <string>
#include <string_view>
#include <vector>

using namespace mp;
using test::bytes_of;
using test::connection_and_wire;
using test::error_of;
using test::never;
using test::pattern;

namespace {

using Bytes = std::vector<std::byte>;

}  // namespace

TEST_CASE("Connection: what is on the wire", "[connection]") {
    auto [connection, wire] = connection_and_wire();
    connection.send_bytes("ab");
    connection.send_bytes("");
    Bytes got(10);
    os::receive_exactly(wire.get(), got, never);
    CHECK(got == bytes_of(std::string_view("\0\0\0\2ab\0\0\0\0", 10)));
    connection.send_bytes(pattern(0x012345));
    got.resize(4);
    os::receive_exactly(wire.get(), got, never);
    CHECK(got == bytes_of(std::string_view("\0\x01\x23\x45", 4)));

    // The long form of a length, which CPython uses from 2 GiB on.
    auto [reader, other] = connection_and_wire();
    os::send_all(
        other.get(),
        bytes_of(std::string_view("\xff\xff\xff\xff\0\0\0\0\0\0\0\3abc", 15)),
        never
    );
    CHECK(reader.recv_bytes() == bytes_of("abc"));
}

TEST_CASE(
    "Connection: a nonsense length is refused, and ends receiving", "[connection]"
) {
    const auto head = GENERATE(
        std::string_view("\xff\xff\xff\xfe", 4),
        std::string_view("\x80\0\0\0", 4),
        std::string_view("\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff\xff", 12)
    );
    auto [connection, wire] = connection_and_wire();
    os::send_all(wire.get(), bytes_of(head), never);
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == EBADMSG);
    CHECK_FALSE(connection.readable());
    CHECK(connection.writable());
}

TEST_CASE("Connection: a promised length takes no memory", "[connection]") {
    auto [connection, wire] = connection_and_wire();
    os::send_all(
        wire.get(),
        bytes_of(std::string_view("\xff\xff\xff\xff\0\x10\0\0\0\0\0\0abc", 15)),
        never
    );
    wire.reset();
    CHECK(error_of([&, &c = connection] { c.recv_bytes(); }) == ECONNRESET);
}

TEST_CASE("Connection: CPython speaks the same framing", "[connection][python]") {
    const std::string script = R"(
import sys
from multiprocessing.connection import Connection
c = Connection(int(sys.argv[1]))
try:
    while True:
        c.send_bytes(c.recv_bytes())
except EOFError:
    pass
)";
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        INFO(program);
        auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
        Connection connection(std::move(ours));
        const pid_t child = test::run_python(program, script, theirs.get());
        theirs.reset();
        try {
            for (const std::size_t size : test::message_sizes) {
                connection.send_bytes(pattern(size));
                CHECK(connection.recv_bytes() == pattern(size));
            }
            connection.close();
            CHECK(test::exit_status(child) == 0);
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
        WARN("no python3 on this machine: the framing is tested against itself only");
    }
}
