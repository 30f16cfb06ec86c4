// SPDX-License-Identifier: BSL-1.0
// What takes gigabytes or many seconds.
#include "mp/connection.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
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

}  // namespace

TEST_CASE(
    "P6: Connection: messages around 2 GiB, where the length changes its form",
    "[connection][stress]"
) {
    const std::size_t size = (std::size_t{1} << 31) -
                             GENERATE(std::size_t{2}, std::size_t{1}, std::size_t{0});
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
