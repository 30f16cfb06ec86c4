// SPDX-License-Identifier: BSL-1.0
// Starts by the fork server that are interrupted in the middle: the server is killed,
// or this process is forked, while a thread waits for it. What the server has printed
// before it forks. The cases: docs/faults.md.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/falls_asleep.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <iostream>
#include <iterator>
#include <optional>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using mp::StartMethod;
using test::Gate;

namespace {

void return_at_once() {}

void check_length(const std::string& text, std::size_t length) {
    throw mp::SystemExit(text.size() == length ? 4 : 1);
}

template <class... Args>
mp::Process served(Args&&... args) {
    return mp::Process(
        {.start_method = StartMethod::forkserver}, std::forward<Args>(args)...
    );
}

void check_server_works() {
    mp::Process p = served(return_at_once);
    p.start();
    CHECK(p.join(20s));
    CHECK(p.exitcode() == 0);
}

pid_t server_here() {
    pid_t found = 0;
    test::for_each_process([&](const test::ProcStat& stat) {
        if (stat.parent == ::getpid() && std::strcmp(stat.name, "mp-forkserver") == 0) {
            found = stat.pid;
        }
    });
    REQUIRE(found > 0);
    return found;
}

/// Stopped when it has done all that it was asked for: a child waits here for the next
/// start.
pid_t stopped_server() {
    const pid_t server = server_here();
    REQUIRE(test::soon([&] {
        test::ProcStat stat;
        return test::read_stat(server, stat) && stat.state == 'S';
    }));
    ::kill(server, SIGSTOP);
    return server;
}

std::vector<pid_t> children_of(pid_t parent) {
    std::vector<pid_t> found;
    test::for_each_process([&](const test::ProcStat& stat) {
        if (stat.parent == parent) {
            found.push_back(stat.pid);
        }
    });
    return found;
}

void wait_until_dead(pid_t child) {
    ::waitid(P_PID, static_cast<id_t>(child), nullptr, WEXITED | WNOWAIT);
}

/// A start in a thread of its own, which sleeps in the middle of it.
class HeldStart {
public:
    template <class... Args>
    explicit HeldStart(Args&&... args)
        : process_(served(std::forward<Args>(args)...)), thread_([this] {
              number_ = ::gettid();
              try {
                  process_.start();
                  started_ = true;
              } catch (const mp::SpawnError&) {
                  started_ = false;
              }
          }) {}

    ~HeldStart() { thread_.join(); }

    HeldStart(const HeldStart&) = delete;
    HeldStart& operator=(const HeldStart&) = delete;

    bool sleeps() const { return test::falls_asleep(number_); }

    /// Nothing if it could not start.
    std::optional<int> exitcode() {
        thread_.join();
        thread_ = std::thread([] {});
        if (!started_ || !process_.join(20s)) {
            return std::nullopt;
        }
        return process_.exitcode();
    }

private:
    mp::Process process_;
    std::atomic<pid_t> number_ = 0;
    bool started_ = false;
    std::thread thread_;
};

constexpr const char* gate_variable = "MP_TEST_PRELOAD_GATE";

void pass_gate_of_environment() {
    if (const char* const path = std::getenv(gate_variable)) {
        test::pass(path);
    }
}

constexpr const char* file_variable = "MP_TEST_PRELOAD_FILE";

// Left open with text in it, as a log may be.
std::FILE* kept_file = nullptr;

void print_without_flush() {
    std::printf("[stdout of the server]");
    std::cout << "[cout of the server]";
    kept_file = std::fopen(std::getenv(file_variable), "ae");
    std::fputs("[file of the server]", kept_file);
}

void print_as_child() {
    std::printf("[child]");
    std::fputs("[file of a child]", kept_file);
}

std::string content_of(const std::string& path) {
    std::ifstream file(path);
    return {std::istreambuf_iterator<char>(file), {}};
}

int count_of(const std::string& word, const std::string& text) {
    int count = 0;
    for (auto at = text.find(word); at != std::string::npos;
         at = text.find(word, at + 1)) {
        ++count;
    }
    return count;
}

}  // namespace

TEST_CASE(
    "N3: the fork server is killed while a start waits for its answer",
    "[faults][forkserver]"
) {
    check_server_works();
    const pid_t server = stopped_server();
    // What was asked for ahead needs no server; the start behind it waits.
    mp::Process ahead = served(test::block_until_killed);
    ahead.start();
    {
        HeldStart held(check_length, std::string("four"), std::size_t{4});
        CHECK(held.sleeps());
        ::kill(server, SIGKILL);
        wait_until_dead(server);
        // Another server does it; nobody needs to ask again.
        CHECK(held.exitcode() == 4);
    }
    CHECK(ahead.is_alive());
    ahead.kill();
    CHECK(ahead.join(20s));
    check_server_works();
    CHECK(server_here() != server);
}

TEST_CASE(
    "N3: the fork server is killed while its child's message is half sent",
    "[faults][forkserver]"
) {
    const bool child_lives = GENERATE(true, false);
    // Beyond what a socket holds.
    const std::string large(std::size_t{8} << 20U, 'x');
    mp::stop_helpers();
    check_server_works();
    const pid_t server = stopped_server();
    const std::vector<pid_t> children = children_of(server);
    CHECK_FALSE(children.empty());
    for (const pid_t child : children) {
        ::kill(child, SIGSTOP);
    }
    {
        HeldStart held(check_length, large, large.size());
        CHECK(held.sleeps());
        ::kill(server, SIGKILL);
        wait_until_dead(server);
        for (const pid_t child : children) {
            ::kill(child, child_lives ? SIGCONT : SIGKILL);
        }
        const auto code = held.exitcode();
        if (child_lives) {
            // Nobody may know how it ended: its parent was the server.
            CHECK((code == 4 || code == 255));
        } else {
            CHECK_FALSE(code.has_value());
        }
    }
    check_server_works();
    CHECK(mp::active_children().empty());
}

TEST_CASE(
    "N8: what the fork server has printed comes once, not from its children",
    "[faults][forkserver]"
) {
    const test::TempDir folder;
    const std::string out = folder.path() / "out";
    const std::string file = folder.path() / "file";
    std::fflush(stdout);
    const int status = test::run_in_fork_for(50s, [&] {
        const int fd = ::open(out.c_str(), O_CREAT | O_WRONLY | O_APPEND, 0600);
        ::dup2(fd, 1);
        ::close(fd);
        ::setenv(file_variable, file.c_str(), 1);
        mp::stop_helpers();
        mp::set_forkserver_preload({print_without_flush});
        for (int i = 0; i < 5; ++i) {
            mp::Process p = served(print_as_child);
            p.start();
            p.join();
            if (p.exitcode() != 0) {
                return 1;
            }
        }
        mp::stop_helpers();
        return 0;
    });
    CHECK(status == 0);
    const std::string printed = content_of(out);
    CAPTURE(printed);
    CHECK(count_of("[stdout of the server]", printed) == 1);
    CHECK(count_of("[cout of the server]", printed) == 1);
    CHECK(count_of("[child]", printed) == 5);
    CHECK(printed.rfind("[stdout of the server]", 0) == 0);
    const std::string kept = content_of(file);
    CAPTURE(kept);
    CHECK(count_of("[file of the server]", kept) == 1);
    CHECK(count_of("[file of a child]", kept) == 5);
}

TEST_CASE(
    "N11: this process is forked while a thread of it waits for the fork server",
    "[faults][forkserver][no-asan][no-tsan]"
) {
    const auto works_in_child = [] {
        return test::run_in_fork_for(30s, [] {
            mp::set_forkserver_preload({});
            mp::Process p = served(return_at_once);
            p.start();
            const bool ended = p.join(20s) && p.exitcode() == 0;
            mp::stop_helpers();
            return ended ? 0 : 1;
        });
    };
    SECTION("for its beginning") {
        const Gate gate;
        mp::stop_helpers();
        ::setenv(gate_variable, gate.path().c_str(), 1);
        mp::set_forkserver_preload({pass_gate_of_environment});
        {
            HeldStart held(return_at_once);
            CHECK(held.sleeps());
            ::unsetenv(gate_variable);
            CHECK(works_in_child() == 0);
            gate.open(1);
            CHECK(held.exitcode() == 0);
        }
        mp::set_forkserver_preload({});
        mp::stop_helpers();
    }
    SECTION("for its answer") {
        check_server_works();
        const pid_t server = stopped_server();
        mp::Process ahead = served(return_at_once);
        ahead.start();
        {
            HeldStart held(return_at_once);
            CHECK(held.sleeps());
            CHECK(works_in_child() == 0);
            ::kill(server, SIGCONT);
            CHECK(held.exitcode() == 0);
        }
        CHECK(ahead.join(20s));
    }
    check_server_works();
}

TEST_CASE(
    "N11: this process is forked while threads of it talk with the resource tracker",
    "[faults][no-asan][no-tsan]"
) {
    std::atomic<bool> stop = false;
    std::vector<std::thread> threads;
    for (int i = 0; i < 3; ++i) {
        threads.emplace_back([&] {
            while (!stop) {
                mp::SharedMemory memory({.create = true, .size = 64});
                memory.unlink();
            }
        });
    }
    int failures = 0;
    for (int round = 0; round < 30; ++round) {
        const int status = test::run_in_fork_for(30s, [] {
            mp::SharedMemory memory({.create = true, .size = 64});
            const mp::SharedMemory again({.name = memory.name()});
            memory.unlink();
            return 0;
        });
        failures += status == 0 ? 0 : 1;
    }
    stop = true;
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(failures == 0);
}
