// SPDX-License-Identifier: BSL-1.0
// set_forkserver_preload and stop_helpers: what the fork server brings to its children,
// and how it comes and goes.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/fork_child.hpp"
#include "support/gone.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using test::exit_code_of;

namespace {

using Functions = std::vector<void (*)()>;

// What the preloaded functions leave behind, in whatever process they ran.
std::string preloaded;

void preload_a() {
    preloaded += 'a';
}

void preload_b() {
    preloaded += 'b';
}

void leave_a_thread() {
    std::thread([] {
        for (;;) {
            ::pause();
        }
    }).detach();
}

void leave_a_note_at_exit() {
    std::atexit([] { std::ofstream(::getenv("MP_TEST_NOTE")).put('x'); });
}

void do_nothing() {}

void send_preloaded(mp::Connection out) {
    out.send(preloaded);
}

void answer_once(mp::Connection both) {
    both.send(both.recv<int>() + 1);
}

void exit_with(mp::Connection in) {
    throw mp::SystemExit(in.recv<int>());
}

void send_surroundings(mp::Connection out) {
    const char* text = ::getenv("MP_TEST_REFRESH");
    out.send(
        std::string(text != nullptr ? text : "") + ' ' + std::to_string(::umask(0))
    );
}

std::string preloaded_in_child(const mp::Context& ctx) {
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process child = ctx.Process(send_preloaded, writer);
    child.start();
    auto text = reader.recv<std::string>();
    child.join();
    return text;
}

mp::Context forkserver() {
    return mp::get_context(mp::StartMethod::forkserver);
}

std::vector<pid_t> servers() {
    std::vector<pid_t> found;
    test::for_each_relative([&](const test::ProcStat& one) {
        if (one.parent == ::getpid() && !one.zombie() &&
            std::string_view(one.name) == "mp-forkserver") {
            found.push_back(one.pid);
        }
    });
    return found;
}

std::vector<pid_t> children_of(pid_t server) {
    std::vector<pid_t> found;
    test::for_each_process([&](const test::ProcStat& one) {
        if (one.parent == server && !one.zombie()) {
            found.push_back(one.pid);
        }
    });
    return found;
}

/// Begins without a server, and with that preload; ends without both.
struct Preload {
    explicit Preload(Functions functions) {
        mp::stop_helpers();
        mp::set_forkserver_preload(std::move(functions));
    }

    ~Preload() {
        mp::set_forkserver_preload({});
        mp::stop_helpers();
    }

    Preload(const Preload&) = delete;
    Preload& operator=(const Preload&) = delete;
};

}  // namespace

TEST_CASE("set_forkserver_preload: in order, once for all children", "[forkserver]") {
    const Preload preload({preload_b, preload_a, preload_b});
    CHECK(preloaded_in_child(forkserver()) == "bab");
    CHECK(preloaded_in_child(forkserver()) == "bab");
    CHECK(preloaded.empty());
}

TEST_CASE("set_forkserver_preload: counts for the next server", "[forkserver]") {
    const Preload preload({});
    CHECK(preloaded_in_child(forkserver()).empty());
    mp::set_forkserver_preload({preload_a});
    // The server that runs has begun without it.
    CHECK(preloaded_in_child(forkserver()).empty());
    mp::stop_helpers();
    CHECK(preloaded_in_child(forkserver()) == "a");
    // The last call counts; it adds nothing to the one before.
    mp::set_forkserver_preload({preload_b});
    mp::stop_helpers();
    CHECK(preloaded_in_child(forkserver()) == "b");
}

TEST_CASE("set_forkserver_preload: is nothing to the other methods", "[forkserver]") {
    const Preload preload({preload_a});
    CHECK(preloaded_in_child(mp::get_context("fork")).empty());
    CHECK(preloaded_in_child(mp::get_context("spawn")).empty());
    CHECK(servers().empty());
}

TEST_CASE("set_forkserver_preload: a thread left behind is refused", "[forkserver]") {
    const Preload preload({preload_a, leave_a_thread});
    mp::Process child = forkserver().Process(do_nothing);
    try {
        child.start();
        FAIL("it started");
    } catch (const mp::SpawnError& error) {
        CHECK(error.stage == mp::SpawnStage::forkserver);
    }
    CHECK_FALSE(child.is_alive());
    // The thread stays, and with it the refusal, until another server begins.
    mp::set_forkserver_preload({preload_a});
    mp::stop_helpers();
    CHECK(preloaded_in_child(forkserver()) == "a");
}

TEST_CASE("stop_helpers: ends the server; the next start has another", "[forkserver]") {
    const Preload none({});
    CHECK(servers().empty());
    REQUIRE(exit_code_of(forkserver().Process(do_nothing)) == 0);
    const std::vector<pid_t> first = servers();
    REQUIRE(first.size() == 1);
    REQUIRE(exit_code_of(forkserver().Process(do_nothing)) == 0);
    CHECK(servers() == first);
    mp::stop_helpers();
    // Waited for: no zombie either.
    test::ProcStat stat;
    CHECK_FALSE(test::read_stat(first.front(), stat));
    REQUIRE(exit_code_of(forkserver().Process(do_nothing)) == 0);
    CHECK(servers().size() == 1);
}

TEST_CASE("forkserver_refresh: the next server has what is now", "[forkserver]") {
    const Preload none({});
    const auto seen = [] {
        auto [reader, writer] = mp::Pipe({.duplex = false});
        mp::Process child = forkserver().Process(send_surroundings, writer);
        child.start();
        child.join();
        return reader.recv<std::string>();
    };
    const mode_t before = ::umask(022);
    ::setenv("MP_TEST_REFRESH", "old", 1);
    CHECK(seen() == "old 18");
    ::setenv("MP_TEST_REFRESH", "new", 1);
    ::umask(077);
    CHECK(seen() == "old 18");
    const std::vector<pid_t> first = servers();
    mp::forkserver_refresh();
    CHECK(servers().empty());  // it had no children
    CHECK(seen() == "new 63");
    CHECK(servers().size() == 1);
    CHECK(servers() != first);
    ::umask(before);
    ::unsetenv("MP_TEST_REFRESH");
    mp::forkserver_refresh();
    mp::forkserver_refresh();
}

TEST_CASE(
    "forkserver_refresh: old children live on, and tell how they end", "[forkserver]"
) {
    const Preload none({});
    auto [ours, theirs] = mp::Pipe();
    mp::Process child = forkserver().Process(exit_with, theirs);
    child.start();
    mp::forkserver_refresh();
    REQUIRE(exit_code_of(forkserver().Process(do_nothing)) == 0);
    CHECK(servers().size() == 2);
    ours.send(7);
    CHECK(child.join(20s));
    CHECK(child.exitcode() == 7);
    // The old server went with the last of its children.
    CHECK(servers().size() == 1);
}

TEST_CASE("forkserver_refresh: stop_helpers() ends those before, too", "[forkserver]") {
    const Preload none({});
    auto [ours, theirs] = mp::Pipe();
    mp::Process child = forkserver().Process(exit_with, theirs);
    child.start();
    mp::forkserver_refresh();
    mp::stop_helpers();
    CHECK(servers().empty());
    CHECK(child.is_alive());
    ours.send(7);
    CHECK(child.join(20s));
}

TEST_CASE(
    "forkserver_refresh: a forked copy leaves the old server alone", "[forkserver]"
) {
    const Preload none({});
    auto [ours, theirs] = mp::Pipe();
    {
        mp::Process child = forkserver().Process(exit_with, theirs);
        child.start();
        mp::forkserver_refresh();
        std::optional<mp::ProcessHandle> handle = child.handle();
        CHECK(test::run_in_fork([&] {
                  handle.reset();
                  { const mp::Process copy = std::move(child); }
                  mp::stop_helpers();
                  return 0;
              }) == 0);
        CHECK(servers().size() == 1);
        ours.send(7);
        CHECK(child.join(20s));
        CHECK(child.exitcode() == 7);
    }
    CHECK(servers().empty());
}

TEST_CASE(
    "forkserver_refresh: nothing that was asked for ahead is left", "[forkserver]"
) {
    const Preload none({});
    auto [ours, theirs] = mp::Pipe();
    mp::Process child = forkserver().Process(exit_with, theirs);
    child.start();
    const pid_t old = servers().front();
    mp::forkserver_refresh();
    CHECK(test::soon([&] { return children_of(old) == std::vector{child.pid()}; }));
    ours.send(7);
    CHECK(child.join(20s));
}

TEST_CASE("forkserver_refresh: threads may start children meanwhile", "[forkserver]") {
    const Preload none({});
    constexpr int rounds = 20;
    int ended = 0;
    std::thread starter([&] {
        for (int i = 0; i < rounds; ++i) {
            ended += exit_code_of(forkserver().Process(do_nothing)) == 0 ? 1 : 0;
        }
    });
    for (int i = 0; i < rounds; ++i) {
        mp::forkserver_refresh();
    }
    starter.join();
    CHECK(ended == rounds);
}

TEST_CASE("stop_helpers: with nothing to stop it does nothing", "[forkserver]") {
    const Preload none({});
    mp::stop_helpers();
    mp::stop_helpers();
    CHECK(servers().empty());
    CHECK(exit_code_of(mp::get_context("fork").Process(do_nothing)) == 0);
}

TEST_CASE("stop_helpers: the server's children live on", "[forkserver]") {
    const Preload none({});
    auto [ours, theirs] = mp::Pipe();
    mp::Process child = forkserver().Process(answer_once, theirs);
    child.start();
    mp::stop_helpers();
    CHECK(servers().empty());
    CHECK(child.is_alive());
    ours.send(41);
    CHECK(ours.recv<int>() == 42);
    CHECK(child.join(20s));
    CHECK_FALSE(child.is_alive());
}

TEST_CASE("stop_helpers: a forked child does not hold the server up", "[forkserver]") {
    const test::TempDir directory;
    const std::string note = directory.path() / "note";
    ::setenv("MP_TEST_NOTE", note.c_str(), 1);
    {
        const Preload preload({leave_a_note_at_exit});
        auto [ours, theirs] = mp::Pipe();
        auto [to_forked, forkeds] = mp::Pipe();
        mp::Process served = forkserver().Process(exit_with, theirs);
        served.start();
        mp::Process forked = mp::get_context("fork").Process(exit_with, forkeds);
        forked.start();  // with a copy of what `served` knows of the server
        mp::stop_helpers();
        // It ended by itself, and was not killed for want of an end of its socket.
        CHECK(std::filesystem::exists(note));
        ours.send(0);
        to_forked.send(0);
        CHECK(served.join(20s));
        CHECK(forked.join(20s));
    }
    ::unsetenv("MP_TEST_NOTE");
}

TEST_CASE("stop_helpers: nothing that was asked for ahead is left", "[forkserver]") {
    // What the server does not reap itself comes to this process.
    const int left = test::run_in_fork_for(50s, [] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        for (int round = 0; round < 10; ++round) {
            for (int i = 0; i < round % 3 + 1; ++i) {
                if (exit_code_of(forkserver().Process(do_nothing)) != 0) {
                    return -1;
                }
            }
            mp::stop_helpers();
            if (::waitpid(-1, nullptr, WNOHANG) >= 0) {
                return round + 1;
            }
        }
        return 0;
    });
    CHECK(left == 0);
}

TEST_CASE("the fork server of a killed process leaves nothing", "[forkserver]") {
    const int adopted = test::run_in_fork_for(50s, [] {
        ::prctl(PR_SET_CHILD_SUBREAPER, 1);
        const pid_t client = test::fork_child([] {
            exit_code_of(forkserver().Process(do_nothing));
            return ::raise(SIGKILL);
        });
        int others = 0;
        for (pid_t ended = 0; (ended = ::waitpid(-1, nullptr, 0)) > 0;) {
            others += ended != client ? 1 : 0;
        }
        return others;
    });
    CHECK(adopted == 1);  // the server alone
}

TEST_CASE("stop_helpers: threads may start children meanwhile", "[forkserver]") {
    const Preload none({});
    constexpr int rounds = 20;
    int ended = 0;
    int refused = 0;
    std::thread starter([&] {
        for (int i = 0; i < rounds; ++i) {
            mp::Process child = forkserver().Process(do_nothing);
            try {
                child.start();
                child.join();
                ++ended;
            } catch (const mp::SpawnError&) {
                // Its server was stopped between two steps of the start.
                ++refused;
            }
        }
    });
    for (int i = 0; i < rounds; ++i) {
        mp::stop_helpers();
    }
    starter.join();
    CHECK(ended + refused == rounds);
    CHECK(exit_code_of(forkserver().Process(do_nothing)) == 0);
}
