// SPDX-License-Identifier: BSL-1.0
// send_handle() and recv_handle(), among ourselves and with CPython.
#include "mp/errors.hpp"
#include "mp/send_handle.hpp"

#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/python.hpp"
#include "support/text_of.hpp"

#include <unistd.h>

#include <array>
#include <cerrno>
#include <future>
#include <string>

using namespace mp;
using test::text_of;

TEST_CASE("send_handle: with the acknowledgement of CPython 3.14", "[fd_passing]") {
    auto [a, b] = mp::Pipe();
    auto [reader, writer] = os::make_pipe();
    auto received = std::async(std::launch::async, [b = b] {
        return recv_handle(b, {.acknowledge = true});
    });
    send_handle(a, writer.get(), {.acknowledge = true});
    const UniqueFd copy = received.get();
    writer.reset();
    REQUIRE(::write(copy.get(), "x", 1) == 1);
    char c = 0;
    CHECK(::read(reader.get(), &c, 1) == 1);
    CHECK_FALSE(a.poll());
}

TEST_CASE(
    "send_handle: an answer that is no acknowledgement is an error", "[fd_passing]"
) {
    auto [a, b] = mp::Pipe();
    os::send_all(b.fileno(), std::array{std::byte{'B'}}, Deadline(forever));
    try {
        send_handle(a, 0, {.acknowledge = true});
        FAIL("expected an error");
    } catch (const std::system_error& e) {
        CHECK(e.code().value() == EBADMSG);
    }
}

TEST_CASE(
    "send_handle: CPython takes our descriptors and we take its", "[fd_passing][python]"
) {
    const std::string script = R"(
import os, sys
from multiprocessing.connection import Connection
from multiprocessing.reduction import recv_handle, send_handle
c = Connection(int(sys.argv[1]))
c.send_bytes(b'14' if sys.version_info >= (3, 14) else b'3')
fd = recv_handle(c)
os.write(fd, b'from python')
r, w = os.pipe()
send_handle(c, w, os.getppid())
os.close(w)
c.send_bytes(os.read(r, 100))
)";
    int spoken_with = 0;
    for (const std::string& program : test::pythons()) {
        INFO(program);
        auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
        Connection connection(std::move(ours));
        const pid_t child = test::run_python(program, script, theirs.get());
        theirs.reset();
        try {
            const bool acknowledge = text_of(connection.recv_bytes()) == "14";
            auto [reader, writer] = os::make_pipe();
            send_handle(connection, writer.get(), {.acknowledge = acknowledge});
            writer.reset();
            std::array<char, 20> text{};
            CHECK(::read(reader.get(), text.data(), text.size()) == 11);
            CHECK(std::string(text.data()) == "from python");
            UniqueFd theirs_now = recv_handle(connection, {.acknowledge = acknowledge});
            CHECK(::write(theirs_now.get(), "from us", 7) == 7);
            CHECK(text_of(connection.recv_bytes()) == "from us");
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
        WARN("no python3 on this machine: descriptors are tested between ourselves only"
        );
    }
}
