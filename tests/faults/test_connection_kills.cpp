// SPDX-License-Identifier: BSL-1.0
// SIGKILL at each named step of a call: handshake, framing, descriptors, accept. The
// other side gets an error or the whole message, others are served, nothing stays
// behind. The library's sources are linked with their failpoints.
#include "mp/mp.hpp"

#include "faults/kill_limits.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstdlib>
#include <string>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::Address;
using mp::connection::Client;
using mp::connection::Family;
using mp::connection::Listener;
using test::kill_seeds;
using test::too_long;

namespace {

constexpr std::string_view key = "the key";

const std::string text(1000, 'x');

constexpr std::array client_points{
    "handshake: sent",
    "handshake: taken",
    "frame: head sent",
    "frame: head taken",
};

constexpr std::array server_points{
    "listener: somebody came",
    "handshake: sent",
    "handshake: taken",
    "listener: handshake over",
    "frame: head sent",
    "frame: head taken",
};

/// A message with a descriptor in it, and its echo. Ends as the other side does.
void talk(Connection connection) {
    const DupFd descriptor(0);
    try {
        for (int i = 0; i < 3; ++i) {
            connection.send(descriptor);
            connection.send(text);
            connection.recv<DupFd>();
            if (connection.recv<std::string>() != text) {
                std::abort();
            }
        }
    } catch (const EOFError&) {
    } catch (const std::system_error&) {
    }
}

void be_client(Address address, std::string point, int passes) {
    test::arm({point, passes});
    talk(Client({.address = address, .authkey = key}));
}

/// False when it ended in the middle.
bool echo(Connection connection) {
    for (int i = 0; i < 3; ++i) {
        try {
            auto descriptor = connection.recv<DupFd>();
            if (!descriptor.detach()) {
                std::abort();
            }
            const auto got = connection.recv<std::string>();
            if (got != text) {
                std::abort();
            }
            connection.send(DupFd(0));
            connection.send(got);
        } catch (const EOFError&) {
            return false;
        } catch (const std::system_error&) {
            return false;
        }
    }
    return true;
}

void serve(Connection tell, std::string point, int passes) {
    test::arm({point, passes});
    Listener listener({.family = Family::unix_socket, .authkey = key});
    tell.send_bytes(listener.address().path());
    for (;;) {
        echo(listener.accept());
    }
}

}  // namespace

TEST_CASE("P1 P3 P13: a client is killed at any step of a call", "[faults][listener]") {
    const Context context = each_start_method();
    Listener listener({.family = Family::unix_socket, .authkey = key});
    for (const char* const point : client_points) {
        for (int seed = 0; seed < kill_seeds(); ++seed) {
            INFO(point << ", seed " << seed);
            auto dies = context.Process(
                be_client, listener.address(), std::string(point), 1 + seed % 3
            );
            auto good =
                context.Process(be_client, listener.address(), std::string(), 0);
            dies.start();
            good.start();
            int whole = 0;
            // Both are served until they have ended: in whatever order they come.
            while (good.is_alive() || dies.is_alive()) {
                try {
                    whole += echo(listener.accept(20ms)) ? 1 : 0;
                } catch (const mp::TimeoutError&) {
                }
            }
            good.join();
            dies.join();
            CHECK(good.exitcode() == 0);
            CHECK(dies.exitcode() == -SIGKILL);
            CHECK(whole == 1);
            // What it left in the queue is gone through, too.
            CHECK_THROWS_AS(
                [&] {
                    for (;;) {
                        echo(listener.accept(0s));
                    }
                }(),
                mp::TimeoutError
            );
        }
    }
}

TEST_CASE("P2 P3: a server is killed at any step of a call", "[faults][listener]") {
    const Context context = each_start_method();
    for (const char* const point : server_points) {
        for (int seed = 0; seed < kill_seeds(); ++seed) {
            INFO(point << ", seed " << seed);
            auto [told, tell] = Pipe({.duplex = false});
            auto server =
                context.Process(serve, tell, std::string(point), 1 + seed % 3);
            server.start();
            tell.close();
            const auto bytes = told.recv_bytes();
            const std::string path(
                reinterpret_cast<const char*>(bytes.data()), bytes.size()
            );
            // Call after call, until it is dead: none hangs.
            for (int calls = 0; server.is_alive() && calls < 10; ++calls) {
                try {
                    talk(Client({.address = path, .authkey = key}));
                } catch (const EOFError&) {
                } catch (const std::system_error&) {
                }
            }
            server.join(too_long);
            CHECK(server.exitcode() == -SIGKILL);
            ::unlink(path.c_str());
        }
    }
}
