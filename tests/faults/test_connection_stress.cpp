// SPDX-License-Identifier: BSL-1.0
// Connections and Listeners with messages of gigabytes, or many thousand times.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/listener.hpp"

#include "os/socket.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/python.hpp"
#include "support/signal_storm.hpp"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstddef>
#include <span>
#include <thread>
#include <vector>

using namespace mp;

namespace {

// Zeros that take no memory until somebody writes to them.
std::span<std::byte> sparse(std::size_t size) {
    void* memory = ::mmap(
        nullptr,
        size,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
        -1,
        0
    );
    REQUIRE(memory != MAP_FAILED);
    return {static_cast<std::byte*>(memory), size};
}

// What is received must lie somewhere.
bool there_is_memory_for(std::size_t size) {
    const auto pages = static_cast<std::size_t>(::sysconf(_SC_AVPHYS_PAGES));
    const bool enough =
        pages * static_cast<std::size_t>(::sysconf(_SC_PAGESIZE)) > size + size / 2;
    if (!enough) {
        WARN("not tested, for want of memory: a message of " << size << " bytes");
    }
    return enough;
}

}  // namespace

TEST_CASE(
    "P6 W5: Connection: messages around 2 GiB, where the length changes its form, and "
    "of 4 GiB + 1",
    "[connection][stress]"
) {
    const std::size_t size =
        GENERATE(0x7ffffffeUL, 0x7fffffffUL, 0x80000000UL, 0x80000001UL, 0x100000001UL);
    if (!there_is_memory_for(size)) {
        return;
    }
    const auto sent = sparse(size);
    auto [reader, writer] = mp::Pipe();
    std::thread sending([sent, writer = writer]() mutable {
        writer.send_bytes(sent);
        writer.send_bytes("next");
    });
    const auto received = sparse(size);
    std::fill(received.end() - 5, received.end(), std::byte{1});
    CHECK(reader.recv_bytes_into(received) == size);
    CHECK(received.front() == std::byte{0});
    CHECK(received.back() == std::byte{0});
    CHECK(reader.recv_bytes().size() == 4);
    sending.join();
    ::munmap(sent.data(), size);
    ::munmap(received.data(), size);
}

TEST_CASE("W5: CPython speaks of more than 2 GiB as we do", "[connection][stress]") {
    constexpr std::size_t size = 0x80000001;
    if (!there_is_memory_for(2 * size)) {
        return;
    }
    auto [ours, theirs] = os::make_socketpair(os::SocketKind::stream);
    Connection connection(std::move(ours));
    const pid_t child = test::run_python(
        "python3",
        R"(
import sys
from multiprocessing.connection import Connection
c = Connection(int(sys.argv[1]))
data = c.recv_bytes()
assert len(data) == 2**31 + 1 and data[-1] == 0, len(data)
c.send_bytes(data)
)",
        theirs.get()
    );
    theirs.reset();
    const auto memory = sparse(size);
    bool sent = false;
    try {
        connection.send_bytes(memory);
        sent = true;
        CHECK(connection.recv_bytes_into(memory) == size);
    } catch (const std::system_error&) {
        CHECK_FALSE(sent);
    }
    connection.close();
    const int status = test::exit_status(child);
    if (status == 127) {
        WARN("no python3 on this machine: not tested");
    } else {
        CHECK(status == 0);
    }
    ::munmap(memory.data(), size);
}

TEST_CASE(
    "P18: Listener: ten thousand clients, with a key and without", "[listener][stress]"
) {
    using connection::Client;
    const bool with_key = GENERATE(true, false);
    connection::ListenerOptions options{
        .family = GENERATE(connection::Family::unix_socket, connection::Family::inet)};
    connection::ClientOptions call;
    if (with_key) {
        options.authkey = "key";
        call.authkey = "key";
    }
    connection::Listener listener(options);
    call.address = listener.address();
    std::thread calling([&] {
        for (int i = 0; i < 10'000; ++i) {
            Client(call).send(i);
        }
    });
    // TCP does not promise to keep the order of connections.
    std::vector<int> came(10'000);
    for (int i = 0; i < 10'000; ++i) {
        ++came.at(static_cast<std::size_t>(listener.accept().recv<int>()));
    }
    calling.join();
    CHECK(came == std::vector<int>(10'000, 1));
}

TEST_CASE(
    "P18: Connection: ten thousand pipes made, used and closed", "[connection][stress]"
) {
    for (int i = 0; i < 10'000; ++i) {
        auto [a, b] = mp::Pipe();
        a.send(b);
        auto c = b.recv<Connection>();
        a.send(i);
        REQUIRE(c.recv<int>() == i);
    }
}

TEST_CASE("P3: Connection: senders killed at any moment", "[connection][stress]") {
    for (unsigned i = 0; i < 500; ++i) {
        auto [reader, writer] = mp::Pipe(i % 2 == 0 ? Duplex::yes : Duplex::no);
        const pid_t child =
            test::fork_child([reader = reader, writer = writer]() mutable {
                reader.close();
                const std::vector<int> numbers(10'000, 7);
                for (;;) {
                    writer.send(numbers);
                }
                return 0;
            });
        writer.close();
        unsigned messages = 0;
        try {
            for (;; ++messages) {
                const auto numbers = reader.recv<std::vector<int>>();
                REQUIRE(numbers == std::vector<int>(10'000, 7));
                if (messages == i % 20) {
                    ::kill(child, SIGKILL);
                }
            }
        } catch (const EOFError&) {
        } catch (const std::system_error& e) {
            REQUIRE(e.code().value() == ECONNRESET);
        }
        REQUIRE(messages > i % 20);
        REQUIRE(test::exit_status(child) == -SIGKILL);
    }
}
