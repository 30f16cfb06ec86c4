// SPDX-License-Identifier: BSL-1.0
// Processes that are stopped for a look go on, however the look ends.
#include "os/pidfd.hpp"
#include "process_pool/process_look.hpp"
#include "process_pool/process_tree.hpp"
#include "process_pool/stopped_process.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gone.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"

#include <signal.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;

namespace {

char state_to_stop(pid_t pid) {
    test::ProcStat stat;
    return test::read_stat(pid, stat) ? stat.state : '?';
}

bool stands_soon(pid_t pid) {
    return test::soon([&] { return state_to_stop(pid) == 'T'; });
}

bool goes_on_soon(pid_t pid) {
    return test::soon([&] { return state_to_stop(pid) == 'S'; });
}

/// A child, which has a child itself; both block.
pid_t pair_to_stop() {
    return test::fork_child([]() -> int {
        ::fork();
        test::block_until_killed();
    });
}

}  // namespace

TEST_CASE("Stopped process: it goes on when the scope is left", "[pool]") {
    const pid_t pid = test::fork_child([]() -> int { test::block_until_killed(); });
    const mp::UniqueFd pidfd = mp::os::pidfd_open(pid);
    {
        const futures::detail::StoppedProcess standing(pid, pidfd.get());
        CHECK(standing.is_stopped());
        CHECK(stands_soon(pid));
    }
    CHECK(goes_on_soon(pid));
    try {
        const futures::detail::StoppedProcess standing(pid, pidfd.get());
        throw std::runtime_error("while it stands still");
    } catch (const std::runtime_error&) {
        CHECK(goes_on_soon(pid));
    }
    {
        const futures::detail::StoppedProcess standing(pid, pidfd.get());
        ::kill(pid, SIGKILL);
    }
    CHECK(test::exit_status(pid) == -SIGKILL);
}

TEST_CASE("Stopped process: descendants that nobody takes go on", "[pool]") {
    const pid_t root = pair_to_stop();
    const mp::UniqueFd pidfd = mp::os::pidfd_open(root);
    std::vector<pid_t> children;
    CHECK(test::soon([&] {
        children = futures::detail::children_of(root);
        return children.size() == 1;
    }));
    const pid_t child = children.at(0);
    {
        const futures::detail::StoppedProcess standing(root, pidfd.get());
        futures::detail::ProcessTree tree(root, pidfd.get());
        tree.find();
        CHECK(stands_soon(child));
    }
    CHECK(goes_on_soon(child));
    CHECK(goes_on_soon(root));
    ::kill(child, SIGKILL);
    ::kill(root, SIGKILL);
    CHECK(test::exit_status(root) == -SIGKILL);
    CHECK(test::gone_within({child}, 200ms));
}
