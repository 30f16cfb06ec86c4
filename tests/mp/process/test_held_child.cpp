// SPDX-License-Identifier: BSL-1.0
// A child may end while somebody else holds it: a debugger, or the leak check of a
// sanitizer. Then the kernel does not give it out to its parent yet.
#include "mp/context.hpp"
#include "mp/process.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <array>

namespace {

/// What a debugger does that attaches to a process, and keeps it for a while after its
/// end. Says over `told` whether it was let.
int hold(pid_t pid, int told) {
    const bool attached = ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
    const char answer = attached ? 'y' : 'n';
    if (::write(told, &answer, 1) != 1 || !attached) {
        return 1;
    }
    pollfd end{
        .fd = static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)),
        .events = POLLIN,
        .revents = 0};
    while (::poll(&end, 1, -1) < 0) {
    }
    ::poll(nullptr, 0, 300);
    return 0;
}

}  // namespace

TEST_CASE(
    "Process: a child that somebody holds when it ends is collected once it is let go",
    "[process]"
) {
    const mp::Context ctx = each_start_method();
    mp::Process process = ctx.Process(test::block_until_killed);
    process.start();
    std::array<int, 2> told{};
    REQUIRE(::pipe(told.data()) == 0);
    const pid_t holder = test::fork_child([&] { return hold(process.pid(), told[1]); });
    char answer = 'n';
    REQUIRE(::read(told[0], &answer, 1) == 1);
    process.kill();
    process.join();
    if (answer == 'y') {
        CHECK(process.exitcode() == -SIGKILL);
    } else {
        WARN("this system does not let one process trace another");
    }
    // No zombie is left: the listener looks.
    test::exit_status(holder);
    ::close(told[0]);
    ::close(told[1]);
}
