// SPDX-License-Identifier: BSL-1.0
// What a run of the program looks at before it is a child.
#include "os/pipe.hpp"
#include "os/socket.hpp"
#include "process/own_program.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/read_all.hpp"

#include <fcntl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <utility>

using namespace std::chrono_literals;

namespace {

/// Becomes a run of this program with that socket, which says what it says to `out`.
int become_child_with(int socket, int out) {
    ::dup2(out, 2);
    ::fcntl(socket, F_SETFD, 0);
    const std::string number = std::to_string(socket);
    ::execl(
        "/proc/self/exe",
        "program",
        mp::detail::child_argument,
        number.c_str(),
        static_cast<char*>(nullptr)
    );
    return 98;
}

}  // namespace

TEST_CASE("child entry: who made the socket itself has nobody else to believe") {
    auto [reader, writer] = mp::os::make_pipe();
    const pid_t child = test::fork_child([&, &writer = writer] {
        auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
        return become_child_with(theirs.get(), writer.get());
    });
    writer.reset();
    // It looks whether there is somebody to tell it what to run, and there is not.
    CHECK(test::read_all(reader.get()).empty());
    CHECK(test::exit_status(child) == 1);
}

TEST_CASE("child entry: one whose parent was killed, but not reaped, ends quietly") {
    auto [reader, writer] = mp::os::make_pipe();
    auto [gate, opener] = mp::os::make_pipe();
    const pid_t parent = test::fork_child(
        [&, &gate = gate, &opener = opener, &reader = reader, &writer = writer] {
            reader.reset();
            opener.reset();
            auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
            if (::fork() == 0) {
                std::array<std::byte, 1> byte{};
                mp::os::receive_some(gate.get(), byte, mp::Deadline(mp::forever));
                ::_exit(become_child_with(theirs.get(), writer.get()));
            }
            ::_exit(0);
            return 0;
        }
    );
    writer.reset();
    gate.reset();
    siginfo_t ended{};
    REQUIRE(::waitid(P_PID, static_cast<id_t>(parent), &ended, WEXITED | WNOWAIT) == 0);
    opener.reset();
    CHECK(test::read_all(reader.get()).empty());
    CHECK(test::exit_status(parent) == 0);
}
