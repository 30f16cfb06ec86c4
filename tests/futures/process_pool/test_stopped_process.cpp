// SPDX-License-Identifier: BSL-1.0
// Processes that are stopped for a look go on, however the look ends.
#include "os/page.hpp"
#include "os/pidfd.hpp"
#include "os/pipe.hpp"
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
#include <sys/mman.h>
#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <stdexcept>
#include <string>
#include <thread>
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

/// Makes fork() slow in this process: there is much to copy.
void map_much() {
    constexpr std::size_t mappings = 50'000;
    const std::size_t page = mp::os::page_size();
    void* const area = ::mmap(
        nullptr,
        mappings * page,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE,
        -1,
        0
    );
    if (area == MAP_FAILED) {
        return;
    }
    auto* const bytes = static_cast<char*>(area);
    // Neighbours with other rights are never merged.
    for (std::size_t i = 0; i < mappings; i += 2) {
        bytes[i * page] = 1;
        ::mprotect(bytes + i * page, page, PROT_READ);
    }
}

void ring_and_fork(int bell) {
    static_cast<void>(::write(bell, "x", 1));
    if (::fork() == 0) {
        test::block_until_killed();
    }
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

// ThreadSanitizer's threads do not survive a fork, and AddressSanitizer's fork looks at
// all mappings first.
TEST_CASE(
    "Stopped process: what it was just starting is there to be found",
    "[pool][no-asan][no-tsan]"
) {
    const bool in_a_thread = GENERATE(false, true);
    CAPTURE(in_a_thread);
    for (int round = 0; round < 3; ++round) {
        const auto pipe = mp::os::make_pipe();
        const pid_t pid = test::fork_child([&]() -> int {
            map_much();
            const int bell = pipe.second.get();
            if (in_a_thread) {
                const std::thread forker(ring_and_fork, bell);
                test::block_until_killed();
            }
            ring_and_fork(bell);
            test::block_until_killed();
        });
        const mp::UniqueFd pidfd = mp::os::pidfd_open(pid);
        char heard = 0;
        REQUIRE(::read(pipe.first.get(), &heard, 1) == 1);
        std::vector<pid_t> children;
        {
            const futures::detail::StoppedProcess standing(pid, pidfd.get());
            CHECK(standing.is_stopped());
            children = futures::detail::children_of(pid);
            CHECK(test::soon([&] {
                const std::string states = futures::detail::thread_states(pid);
                return states.find_first_not_of('T') == std::string::npos;
            }));
            CHECK(futures::detail::children_of(pid) == children);
        }
        ::kill(pid, SIGKILL);
        CHECK(test::exit_status(pid) == -SIGKILL);
        for (const pid_t child : children) {
            ::kill(child, SIGKILL);
        }
        CHECK(test::gone_within(children, 1s));
    }
}
