// SPDX-License-Identifier: BSL-1.0
// wait(): what it takes, and what it says of what is closed.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/wait.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <sys/syscall.h>
#include <unistd.h>

#include <chrono>
#include <vector>

using namespace mp;
using namespace std::chrono_literals;
using mp::connection::wait;

namespace {

using Indices = std::vector<std::size_t>;

struct Sentinel {
    UniqueFd pidfd;

    int sentinel() const noexcept { return pidfd.get(); }
};

Sentinel sentinel_of(pid_t pid) {
    return {UniqueFd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)))};
}

}  // namespace

TEST_CASE("wait: sentinels, connections and numbers together", "[wait]") {
    auto [a, b] = mp::Pipe();
    auto [go, starter] = mp::Pipe(Duplex::no);
    const pid_t child = test::fork_child([go = go]() mutable {
        go.recv_bytes();
        return 0;
    });
    const Sentinel process = sentinel_of(child);
    REQUIRE(process.sentinel() >= 0);
    CHECK(wait({a, process, b}, 10ms).empty());
    starter.send_bytes("end");
    CHECK(wait({a, process, b}, 20s) == Indices{1});
    a.send_bytes("x");
    CHECK(wait({a, process, b}, 20s) == Indices{1, 2});
    b.send_bytes("x");
    CHECK(wait({a.fileno(), process.sentinel(), b.fileno()}, 20s) == Indices{0, 1, 2});
    CHECK(test::exit_status(child) == 0);
}

TEST_CASE("wait: something closed is an error, not a hang", "[wait]") {
    auto [a, b] = mp::Pipe();
    const int number = a.fileno();
    a.close();
    CHECK_THROWS_AS(wait({a, b}), std::system_error);
    CHECK_THROWS_AS(wait({number}), std::system_error);
    CHECK_THROWS_AS(wait({b.fileno(), -1}), std::system_error);
}
