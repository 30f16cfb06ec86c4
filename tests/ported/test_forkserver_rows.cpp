// SPDX-License-Identifier: BSL-1.0
// What CPython's tests say of the fork server.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdio>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

int preloaded = 0;

std::optional<mp::Lock> preloaded_lock;

void do_nothing() {}

void wait_for_a_byte(mp::Connection in) {
    in.recv_bytes();
}

// Of the children of this process the one that serves.
pid_t server_pid() {
    std::ifstream children(
        "/proc/self/task/" + std::to_string(::getpid()) + "/children"
    );
    for (const pid_t pid :
         std::vector<pid_t>(std::istream_iterator<pid_t>(children), {})) {
        std::ifstream comm("/proc/" + std::to_string(pid) + "/comm");
        std::string name;
        std::getline(comm, name);
        if (name == "mp-forkserver") {
            return pid;
        }
    }
    return 0;
}

// A signal hits the server while a child runs: what its exit code is then, and whether
// the next start works.
std::optional<int> code_after(int signal) {
    const mp::Context ctx = mp::get_context("forkserver");
    auto [reader, writer] = mp::Pipe({.duplex = false});
    auto running = ctx.Process(wait_for_a_byte, reader);
    running.start();
    const pid_t server = server_pid();
    REQUIRE(server > 0);
    ::kill(server, signal);
    if (signal == SIGKILL) {
        ::waitid(P_PID, static_cast<id_t>(server), nullptr, WEXITED | WNOWAIT);
    }
    auto next = ctx.Process(do_nothing);
    next.start();
    CHECK(next.join(20s));
    CHECK(next.exitcode() == 0);
    writer.send_bytes("x");
    CHECK(running.join(20s));
    return running.exitcode();
}

// Stops the server and what it preloads at the end of a case.
struct Preload {
    explicit Preload(std::vector<void (*)()> functions) {
        mp::stop_helpers();
        mp::set_forkserver_preload(std::move(functions));
    }

    ~Preload() {
        mp::stop_helpers();
        mp::set_forkserver_preload({});
    }

    Preload(const Preload&) = delete;
    Preload& operator=(const Preload&) = delete;
};

}  // namespace

TEST_CASE(
    "_TestProcess.test_forkserver_sigint: it is ignored", "[ported][forkserver]"
) {
    CHECK(code_after(SIGINT) == 0);
}

TEST_CASE(
    "_TestProcess.test_forkserver_sigkill: the next start has another server",
    "[ported][forkserver]"
) {
    const auto code = code_after(SIGKILL);
    CHECK((code == 0 || code == 255));
}

TEST_CASE(
    "TestStartMethod.test_preload_resources: what is preloaded may be shared",
    "[ported][forkserver]"
) {
    const Preload preload({+[] {
        preloaded_lock.emplace();
    }});
    auto p = mp::get_context("forkserver").Process(+[] {
        throw mp::SystemExit(preloaded_lock && preloaded_lock->acquire(0s) ? 3 : 4);
    });
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 3);
}

TEST_CASE(
    "_TestSpawnedSysPath.test_forkserver_preload_imports_sys_path: children have it",
    "[ported][forkserver]"
) {
    const Preload preload({+[] {
        preloaded += 5;
    }});
    for (int i = 0; i < 3; ++i) {
        auto p = mp::get_context("forkserver").Process(+[] {
            throw mp::SystemExit(preloaded);
        });
        p.start();
        CHECK(p.join(20s));
        CHECK(p.exitcode() == 5);
    }
    CHECK(preloaded == 0);
}

TEST_CASE(
    "_TestSpawnedSysPath.test_std_streams_flushed_after_preload: nothing comes twice",
    "[ported][forkserver]"
) {
    // The output of a process of its own, with its server and children.
    std::FILE* const file = std::tmpfile();
    REQUIRE(file != nullptr);
    // What Catch has said so far is not the child's to print.
    std::cout.flush();
    std::fflush(stdout);
    const int code = test::run_in_fork([&] {
        ::dup2(::fileno(file), STDOUT_FILENO);
        mp::set_forkserver_preload({+[] {
            std::fputs("once ", stdout);
        }});
        for (int i = 0; i < 2; ++i) {
            auto p = mp::get_context("forkserver").Process(+[] {
                std::fputs("child ", stdout);
            });
            p.start();
            p.join();
        }
        mp::stop_helpers();
        return 0;
    });
    CHECK(code == 0);
    std::rewind(file);
    std::string text(100, '\0');
    text.resize(std::fread(text.data(), 1, text.size(), file));
    std::fclose(file);
    CHECK(text == "once child child ");
}
