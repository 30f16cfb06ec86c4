// SPDX-License-Identifier: BSL-1.0
// A child may end while somebody else holds it: a debugger, or the leak check of a
// sanitizer. Then the kernel does not give it out to its parent yet.
#include "mp/context.hpp"
#include "mp/process.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <unistd.h>

#include <array>
#include <thread>

namespace {

/// What a debugger does that attaches to a process, and keeps it behind its end until
/// `let_go` is closed. Says over `told` whether it was let.
int hold(pid_t pid, int told, int let_go) {
    const bool attached = ::ptrace(PTRACE_SEIZE, pid, nullptr, nullptr) == 0;
    const char answer = attached ? 'y' : 'n';
    if (::write(told, &answer, 1) != 1 || !attached) {
        return 1;
    }
    char nothing = 0;
    return ::read(let_go, &nothing, 1) == 0 ? 0 : 1;
}

/// A child that has ended, and a process that still holds it.
class HeldChild {
public:
    explicit HeldChild(const mp::Context& ctx)
        : child_(ctx.Process(test::block_until_killed)) {
        child_.start();
        std::array<int, 2> told{};
        REQUIRE(::pipe2(told.data(), O_CLOEXEC) == 0);
        REQUIRE(::pipe2(let_go_.data(), O_CLOEXEC) == 0);
        holder_ = test::fork_child([&] {
            ::close(let_go_[1]);
            return hold(child_.pid(), told[1], let_go_[0]);
        });
        char answer = 'n';
        REQUIRE(::read(told[0], &answer, 1) == 1);
        ::close(told[0]);
        ::close(told[1]);
        ::close(let_go_[0]);
        held_ = answer == 'y';
        if (!held_) {
            WARN("this system does not let one process trace another");
        }
        child_.kill();
        pollfd end{.fd = child_.sentinel(), .events = POLLIN, .revents = 0};
        REQUIRE(::poll(&end, 1, -1) == 1);
    }

    HeldChild(const HeldChild&) = delete;
    HeldChild& operator=(const HeldChild&) = delete;
    ~HeldChild() = default;

    mp::Process& process() { return child_; }

    void let_go() {
        ::close(let_go_[1]);
        CHECK(test::exit_status(holder_) == (held_ ? 0 : 1));
    }

private:
    mp::Process child_;
    std::array<int, 2> let_go_{};
    pid_t holder_ = 0;
    bool held_ = false;
};

}  // namespace

// No zombie is left in any case: the listener looks.
TEST_CASE(
    "Process: a child that somebody holds when it ends is looked at again later",
    "[process]"
) {
    HeldChild held(each_start_method());
    CHECK(mp::active_children().empty());  // it would have been collected
    held.let_go();
    CHECK(held.process().exitcode() == -SIGKILL);
    held.process().join();
}

TEST_CASE(
    "Process: join() of a child that somebody holds waits until it is let go",
    "[process]"
) {
    HeldChild held(each_start_method());
    std::thread joining([&] { held.process().join(); });
    held.let_go();
    joining.join();
    CHECK(held.process().exitcode() == -SIGKILL);
}
