// SPDX-License-Identifier: BSL-1.0
// What a pool's tasks have started ends with a worker that is killed.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/few_descriptors.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

/// The numbers of the processes that a task has started, as they say them.
using Told = mp::Queue<int>;

constexpr int children = 4;

/// One child with a child of its own, and a daemon with one, all of which ignore what
/// they can.
void start_family(Told told) {
    const auto tell_and_block = [&told] {
        signal(SIGHUP, SIG_IGN);
        told.put(static_cast<int>(getpid()));
        test::block_until_killed();
    };
    if (fork() == 0) {
        if (fork() == 0) {
            tell_and_block();
        }
        tell_and_block();
    }
    const pid_t between = fork();
    if (between == 0) {
        setsid();
        if (fork() == 0) {
            setsid();
            if (fork() == 0) {
                tell_and_block();
            }
            tell_and_block();
        }
        _exit(0);
    }
    waitpid(between, nullptr, 0);
}

void start_family_and_block(Told told) {
    start_family(told);
    test::block_until_killed();
}

void start_family_and_pass(Told told, const std::string& gate) {
    start_family(told);
    test::pass(gate);
}

/// Starts children as long as it lives.
void start_more_and_more(Told told) {
    for (;;) {
        const pid_t child = fork();
        if (child == 0) {
            told.put(static_cast<int>(getpid()));
            test::block_until_killed();
        }
        usleep(100);
    }
}

/// Children that ignore SIGTERM, and one with a child of its own that does.
void start_stubborn_family_and_block(Told told) {
    signal(SIGTERM, SIG_IGN);
    for (int i = 0; i < 2; ++i) {
        if (fork() == 0) {
            if (i == 1 && fork() != 0) {
                test::block_until_killed();
            }
            told.put(static_cast<int>(getpid()));
            test::block_until_killed();
        }
    }
    signal(SIGTERM, SIG_DFL);
    test::block_until_killed();
}

constexpr int last_word = -1;

/// A child that ends in its own way when it gets SIGTERM.
void start_orderly_child_and_block(Told told) {
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGTERM);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    if (fork() == 0) {
        told.put(static_cast<int>(getpid()));
        int signal = 0;
        sigwait(&set, &signal);
        told.put(last_word);
        _exit(0);
    }
    sigprocmask(SIG_UNBLOCK, &set, nullptr);
    test::block_until_killed();
}

void start_many_and_block(Told told, int count) {
    for (int i = 0; i < count; ++i) {
        if (fork() == 0) {
            told.put(static_cast<int>(getpid()));
            test::block_until_killed();
        }
    }
    test::block_until_killed();
}

/// Each is adopted, and ends at once.
void start_orphans(int count, bool are_daemons) {
    for (int i = 0; i < count; ++i) {
        const pid_t between = fork();
        if (between == 0) {
            if (are_daemons) {
                setsid();
            }
            if (fork() == 0) {
                _exit(0);
            }
            _exit(0);
        }
        waitpid(between, nullptr, 0);
    }
}

pid_t start_child_that_ends() {
    const pid_t child = fork();
    if (child == 0) {
        _exit(7);
    }
    return child;
}

int status_of(pid_t child) {
    int status = 0;
    return waitpid(child, &status, 0) == child ? WEXITSTATUS(status) : -1;
}

/// Of this process.
int zombies() {
    int count = 0;
    test::for_each_process([&](const test::ProcStat& stat) {
        count += stat.zombie() && stat.parent == getpid() ? 1 : 0;
    });
    return count;
}

std::vector<pid_t> told_by(Told& told, int count) {
    std::vector<pid_t> pids;
    for (int i = 0; i < count; ++i) {
        pids.push_back(static_cast<pid_t>(told.get(20s)));
    }
    return pids;
}

ProcessPoolExecutor
pool_with(const mp::Context& context, const Told& told, int workers) {
    auto options = on(context, workers, OnWorkerLoss::isolate);
    options.shared = {told};
    return ProcessPoolExecutor(std::move(options));
}

}  // namespace

TEST_CASE(
    "Descendants: a time limit ends all that the task has started, daemons too",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto pool = pool_with(context, told, 1);
    pool.submit(inc, 1).result();
    auto future = pool.submit({.timeout = 300ms}, start_family_and_block, told);
    const auto pids = told_by(told, children);
    CHECK_THROWS_AS(future.result(), futures::TaskTimeout);
    CHECK(test::gone_within(pids, 200ms));
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "Descendants: kill_workers() and terminate_workers() end them, too",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const bool kill = GENERATE(true, false);
    Told told;
    auto pool = pool_with(context, told, 2);
    auto first = pool.submit(start_family_and_block, told);
    auto second = pool.submit(start_family_and_block, told);
    const auto pids = told_by(told, 2 * children);
    if (kill) {
        pool.kill_workers();
    } else {
        pool.terminate_workers();
    }
    CHECK_THROWS_AS(first.result(), futures::BrokenProcessPool);
    CHECK_THROWS_AS(second.result(), futures::BrokenProcessPool);
    CHECK(test::gone_within(pids, 200ms));
}

TEST_CASE(
    "Descendants: those that ignore SIGTERM outlive a worker that it ends for a moment "
    "only",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const bool by_limit = GENERATE(true, false);
    Told told;
    auto pool = pool_with(context, told, 1);
    pool.submit(inc, 1).result();
    auto future =
        by_limit
            ? pool.submit({.timeout = 300ms}, start_stubborn_family_and_block, told)
            : pool.submit(start_stubborn_family_and_block, told);
    const auto pids = told_by(told, 2);
    if (!by_limit) {
        pool.terminate_workers();
    }
    CHECK_THROWS(future.result());
    CHECK(test::gone_within(pids, 1s));
}

TEST_CASE(
    "Descendants: with SIGTERM those that handle it end in their own way",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto pool = pool_with(context, told, 1);
    auto future = pool.submit(start_orderly_child_and_block, told);
    const auto pids = told_by(told, 1);
    pool.terminate_workers();
    CHECK(told.get(20s) == last_word);
    CHECK(test::gone_within(pids, 200ms));
    CHECK_THROWS_AS(future.result(), futures::BrokenProcessPool);
}

TEST_CASE(
    "Descendants: those of workers that begin while others are still being started",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    constexpr int workers = 6;
    Told told;
    std::vector<pid_t> pids;
    {
        auto pool = pool_with(context, told, workers);
        for (int i = 0; i != workers; ++i) {
            pool.submit(start_family_and_block, told);
        }
        pids = told_by(told, 1);
        pool.terminate_workers();
    }
    while (!told.empty()) {
        pids.push_back(static_cast<pid_t>(told.get()));
    }
    CHECK(test::gone_within(pids, 1s));
}

TEST_CASE(
    "Descendants: where descriptors are short they are ended all the same",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const bool kill = GENERATE(true, false);
    Told told;
    auto pool = pool_with(context, told, 1);
    auto future = pool.submit(start_many_and_block, told, 40);
    const auto pids = told_by(told, 40);
    {
        const test::FewDescriptors few(8);
        if (kill) {
            pool.kill_workers();
        } else {
            pool.terminate_workers();
        }
        CHECK(test::gone_within(pids, 1s));
    }
    CHECK_THROWS_AS(future.result(), futures::BrokenProcessPool);
}

TEST_CASE(
    "Descendants: between tasks a worker reaps daemons, and leaves tasks what is "
    "theirs",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto pool = pool_with(context, told, 1);
    const pid_t child = pool.submit(start_child_that_ends).result();
    pool.submit(start_orphans, 10, true).result();
    CHECK(test::soon([&] { return pool.submit(zombies).result() == 1; }));
    CHECK(pool.submit(status_of, child).result() == 7);
    // Of what may be a task's own child some stay, but not any number.
    pool.submit(start_orphans, 100, false).result();
    CHECK(test::soon([&] { return pool.submit(zombies).result() <= 64; }));
}

TEST_CASE(
    "Descendants: a task that starts processes all the time is outrun",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto pool = pool_with(context, told, 1);
    auto future = pool.submit(start_more_and_more, told);
    std::vector<pid_t> pids = told_by(told, 20);
    pool.kill_workers();
    CHECK_THROWS_AS(future.result(), futures::BrokenProcessPool);
    pool.shutdown();
    try {
        for (;;) {
            pids.push_back(static_cast<pid_t>(told.get(0s)));
        }
    } catch (const mp::Empty&) {
        CHECK(test::gone_within(pids, 200ms));
    }
}

TEST_CASE(
    "Descendants: those of a worker that ends in order live on, and so do all where "
    "the "
    "option is off",
    "[pool][no-tsan]"
) {
    const auto context = each_pool_start_method();
    Told told;
    test::Gate gate;
    std::vector<pid_t> pids;
    {
        auto pool = pool_with(context, told, 1);
        auto future = pool.submit(start_family_and_pass, told, gate.path());
        pids = told_by(told, children);
        gate.open(1);
        future.result();
    }
    for (const pid_t pid : pids) {
        CHECK(!test::is_gone(pid));
        kill(pid, SIGKILL);
    }
    CHECK(test::gone_within(pids, 200ms));
    auto options = on(context, 1, OnWorkerLoss::isolate);
    options.shared = {told};
    options.kill_descendants = false;
    ProcessPoolExecutor pool(std::move(options));
    auto future = pool.submit(start_family_and_block, told);
    pids = told_by(told, children);
    pool.kill_workers();
    pool.shutdown();
    for (const pid_t pid : pids) {
        CHECK(!test::is_gone(pid));
        kill(pid, SIGKILL);
    }
    CHECK(test::gone_within(pids, 200ms));
    CHECK_THROWS_AS(future.result(), futures::BrokenProcessPool);
}
