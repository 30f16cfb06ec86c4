// SPDX-License-Identifier: BSL-1.0
// What happens when the fork server is signalled, stopped or killed.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <fstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using test::block_until_killed;

namespace {

void do_nothing() {}

mp::Process forkserver_process(mp::ProcessOptions options, void (*target)()) {
    options.start_method = mp::StartMethod::forkserver;
    return mp::Process(std::move(options), target);
}

// The children of this process that the kernel names so.
std::vector<pid_t> children_named(const std::string& wanted) {
    std::vector<pid_t> found;
    std::ifstream file("/proc/self/task/" + std::to_string(::getpid()) + "/children");
    for (pid_t pid = 0; file >> pid;) {
        std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
        std::string name;
        std::getline(comm, name);
        if (name == wanted) {
            found.push_back(pid);
        }
    }
    return found;
}

pid_t server_pid() {
    const auto servers = children_named("mp-forkserver");
    REQUIRE(servers.size() == 1);
    return servers.front();
}

void check_works() {
    mp::Process p = forkserver_process({}, do_nothing);
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

int preloaded = 0;

}  // namespace

TEST_CASE("N1: SIGINT to the fork server is ignored", "[faults][forkserver]") {
    check_works();
    const pid_t server = server_pid();
    ::kill(server, SIGINT);
    check_works();
    CHECK(server_pid() == server);
}

TEST_CASE(
    "N2: a killed fork server is replaced, its children live on", "[faults][forkserver]"
) {
    mp::Process running = forkserver_process({}, block_until_killed);
    running.start();
    const pid_t server = server_pid();
    ::kill(server, SIGKILL);
    // Until it is gone it may still get a request, and its child's status with it.
    ::waitid(P_PID, static_cast<id_t>(server), nullptr, WEXITED | WNOWAIT);
    check_works();
    CHECK(server_pid() != server);
    CHECK(running.is_alive());
    running.terminate();
    CHECK(running.join(20s));
    const auto code = running.exitcode();
    CHECK((code == -SIGTERM || code == 255));
}

TEST_CASE("N4: a stopped fork server makes start() time out", "[faults][forkserver]") {
    check_works();
    const pid_t server = server_pid();
    ::kill(server, SIGSTOP);
    // The child that was asked for ahead needs no server to begin; the next one does.
    std::vector<mp::Process> ahead;
    std::optional<mp::SpawnStage> stage;
    while (!stage && ahead.size() < 3) {
        mp::Process p = forkserver_process({.start_timeout = 100ms}, do_nothing);
        try {
            p.start();
            ahead.push_back(std::move(p));
        } catch (const mp::SpawnError& error) {
            stage = error.stage;
        }
    }
    CHECK(stage == mp::SpawnStage::timeout);
    ::kill(server, SIGCONT);
    for (auto& p : ahead) {
        CHECK(p.join(20s));
        CHECK(p.exitcode().value() == 0);
    }
    check_works();
    CHECK(mp::active_children().empty());
}

TEST_CASE(
    "N6: many starts and many signals, all statuses right", "[faults][forkserver]"
) {
    std::vector<mp::Process> processes;
    for (int i = 0; i < 100; ++i) {
        processes.push_back(forkserver_process({}, block_until_killed));
        processes.back().start();
    }
    for (auto& p : processes) {
        p.terminate();
    }
    for (auto& p : processes) {
        REQUIRE(p.join(20s));
        CHECK(p.exitcode() == -SIGTERM);
    }
}

TEST_CASE(
    "N7: what is preloaded is there; a preload that throws is told",
    "[faults][forkserver]"
) {
    mp::stop_helpers();
    mp::set_forkserver_preload({+[] {
        preloaded = 42;
    }});
    mp::Process p = forkserver_process(
        {}, +[] { throw mp::SystemExit(preloaded); }
    );
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 42);
    CHECK(preloaded == 0);

    mp::stop_helpers();
    mp::set_forkserver_preload({+[] {
        throw std::runtime_error("bad preload");
    }});
    mp::Process q = forkserver_process({}, do_nothing);
    try {
        q.start();
        FAIL("it started");
    } catch (const mp::SpawnError& error) {
        CHECK(error.stage == mp::SpawnStage::forkserver);
        CHECK(std::string(error.what()).find("bad preload") != std::string::npos);
    }
    mp::set_forkserver_preload({});
    check_works();
}

TEST_CASE(
    "N12: the caller's signal mask is unchanged by a server start",
    "[faults][forkserver]"
) {
    mp::stop_helpers();
    sigset_t before;
    sigset_t after;
    ::pthread_sigmask(SIG_SETMASK, nullptr, &before);
    check_works();
    ::pthread_sigmask(SIG_SETMASK, nullptr, &after);
    for (int signal = 1; signal < 32; ++signal) {
        CHECK(::sigismember(&before, signal) == ::sigismember(&after, signal));
    }
}
