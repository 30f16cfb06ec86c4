// SPDX-License-Identifier: BSL-1.0
// Programs that adopt orphans: the first process of a container, and a subreaper. Their
// own children are reaped with the right status, and so are those whose fork server
// died before them. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/forkserver.hpp"
#include "mp/process.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <chrono>
#include <cstring>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::inc;
using test::on;

namespace {

constexpr int no_pid_namespaces = 77;

/// What `body` returns as the first process of a container.
template <class Body>
int as_first_process(Body body) {
    return test::run_in_fork_for(55s, [&] {
        if (::unshare(CLONE_NEWPID | CLONE_NEWNS) != 0) {
            return no_pid_namespaces;
        }
        return test::run_in_fork([&] {
            ::prctl(PR_SET_PDEATHSIG, SIGKILL);
            // It sees its own processes, as in a container.
            if (::mount("none", "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0 ||
                ::mount("proc", "/proc", "proc", 0, nullptr) != 0) {
                return no_pid_namespaces;
            }
            return ::getpid() == 1 ? body() : no_pid_namespaces;
        });
    });
}

template <class Body>
int as_subreaper(Body body) {
    return test::run_in_fork_for(55s, [&] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        return body();
    });
}

bool namespaces_are_possible(int status) {
    if (status == no_pid_namespaces) {
        WARN(
            "not checked: only root can make a namespace of pids, and only where there "
            "are any"
        );
        return false;
    }
    return true;
}

void exit_with_nine() {
    throw mp::SystemExit(9);
}

int die_of(int signal) {
    ::kill(::getpid(), signal);
    test::block_until_killed();
}

/// The task ends, and what it has started lives for a moment longer.
int leave_an_orphan() {
    if (::fork() == 0) {
        ::_exit(::fork() == 0 ? 5 : 0);
    }
    return 1;
}

bool has_no_child() {
    siginfo_t info{};
    return ::waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 &&
           errno == ECHILD;
}

/// 0, or where it went wrong. Nothing is left that the program would have to reap.
int use_processes_and_pool(const mp::Context& context) {
    mp::Process ends = context.Process(exit_with_nine);
    ends.start();
    if (!ends.join(30s) || ends.exitcode() != 9) {
        return 1;
    }
    mp::Process killed = context.Process(test::block_until_killed);
    killed.start();
    killed.kill();
    if (!killed.join(30s) || killed.exitcode() != -SIGKILL) {
        return 2;
    }
    {
        ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
        if (pool.submit(inc, 1).result(30s) != 2) {
            return 3;
        }
        for (const int signal : {SIGKILL, SIGTERM}) {
            try {
                pool.submit(die_of, signal).result(30s);
                return 4;
            } catch (const futures::WorkerLost& lost) {
                if (lost.report().signal != signal) {
                    return 5;
                }
            }
        }
        if (pool.submit(leave_an_orphan).result(30s) != 1) {
            return 6;
        }
    }
    mp::stop_helpers();
    // An orphan whose worker ended before it did comes here, and is this program's.
    while (::waitpid(-1, nullptr, 0) > 0) {
    }
    return has_no_child() && mp::active_children().empty() ? 0 : 7;
}

pid_t server_among_children() {
    pid_t found = 0;
    test::for_each_process([&](const test::ProcStat& stat) {
        if (stat.parent == ::getpid() && std::strcmp(stat.name, "mp-forkserver") == 0) {
            found = stat.pid;
        }
    });
    return found;
}

/// The fork server dies before its children: they become this process's own.
int lose_the_fork_server() {
    const auto context = mp::get_context(StartMethod::forkserver);
    mp::Process killed = context.Process(test::block_until_killed);
    killed.start();
    mp::Process told = context.Process(test::block_until_killed);
    told.start();
    const pid_t server = server_among_children();
    if (server == 0) {
        return 11;
    }
    // One ends at the same time as the server, the other one later.
    ::kill(told.pid(), SIGTERM);
    ::kill(server, SIGKILL);
    if (!told.join(30s) || told.exitcode() != -SIGTERM) {
        return 12;
    }
    ::waitid(P_PID, static_cast<id_t>(server), nullptr, WEXITED | WNOWAIT);
    killed.kill();
    if (!killed.join(30s) || killed.exitcode() != -SIGKILL) {
        return 13;
    }
    // Neither is left as a zombie.
    for (const pid_t pid : {killed.pid(), told.pid()}) {
        test::ProcStat stat;
        if (test::read_stat(pid, stat)) {
            return 14;
        }
    }
    mp::Process next = context.Process(exit_with_nine);
    next.start();
    if (!next.join(30s) || next.exitcode() != 9) {
        return 15;
    }
    mp::stop_helpers();
    return 0;
}

}  // namespace

TEST_CASE(
    "M10: a program that is the first process of a container",
    "[faults][no-asan][no-tsan]"
) {
    const auto context = each_start_method();
    const int status =
        as_first_process([&] { return use_processes_and_pool(context); });
    if (namespaces_are_possible(status)) {
        CHECK(status == 0);
    }
}

TEST_CASE("M10: a program that is a subreaper", "[faults][no-asan][no-tsan]") {
    const auto context = each_start_method();
    CHECK(as_subreaper([&] { return use_processes_and_pool(context); }) == 0);
}

TEST_CASE(
    "M10: a program that adopts the children of its dead fork server",
    "[faults][no-asan][no-tsan]"
) {
    CHECK(as_subreaper(lose_the_fork_server) == 0);
    const int status = as_first_process(lose_the_fork_server);
    if (namespaces_are_possible(status)) {
        CHECK(status == 0);
    }
}
