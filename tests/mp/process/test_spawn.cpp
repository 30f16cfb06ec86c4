// SPDX-License-Identifier: BSL-1.0
// freeze_support: when it returns and when it does not; set_executable: which programs
// may be run as children.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/spawn.hpp"

#include "os/socket.hpp"
#include "process/own_program.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/fork_child.hpp"
#include "support/other_program.hpp"
#include "support/temp_dir.hpp"

#include <algorithm>
#include <array>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <vector>

using test::change_build_id;
using test::copy_of_this_program;
using test::OtherProgram;

namespace {

void do_nothing() {}

void say_which_program(mp::Connection out) {
    out.send(std::filesystem::read_symlink("/proc/self/exe").string());
}

/// Calls freeze_support() with these, as main would.
void freeze(std::vector<std::string> arguments) {
    std::vector<char*> argv;
    for (std::string& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    mp::freeze_support(static_cast<int>(arguments.size()), argv.data());
}

mp::Context spawn_or_forkserver() {
    return mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver)
    );
}

}  // namespace

TEST_CASE("freeze_support: returns in the main program, whatever it is given") {
    freeze({"program"});
    freeze({"program", "--help"});
    freeze({"program", mp::detail::child_argument});
    // Three words, but not what the library says to a child.
    for (const char* const number : {"", "x", "-1", "0", "2", "1000000"}) {
        freeze({"program", mp::detail::child_argument, number});
    }
    freeze({"program", "--multiprocessing", "3"});
    freeze({"program", mp::detail::server_argument, "3", "4"});
    SUCCEED("it returned each time");
}

TEST_CASE("freeze_support: in a child or a fork server it does not return") {
    const char* const kind =
        GENERATE(mp::detail::child_argument, mp::detail::server_argument);
    constexpr int returned = 77;
    // The other end is gone: there is nothing to do, and the process leaves.
    const int status = test::run_in_fork([&] {
        auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::seqpacket);
        theirs.reset();
        freeze({"program", kind, std::to_string(ours.get())});
        return returned;
    });
    CAPTURE(kind, status);
    CHECK(status != returned);
    CHECK(status >= 0);  // by exit(), not by a signal
}

TEST_CASE("set_executable: a copy of the program starts children") {
    const mp::Context ctx = spawn_or_forkserver();
    const test::TempDir folder;
    const auto copy = copy_of_this_program(folder);
    {
        const OtherProgram other(copy);
        auto [reader, writer] = mp::Pipe({.duplex = false});
        mp::Process child = ctx.Process(say_which_program, writer);
        child.start();
        CHECK(reader.recv<std::string>() == copy);
        CHECK(child.join());
        CHECK(child.exitcode() == 0);
        CHECK_NOTHROW(mp::resource_tracker::ensure_running());
    }
    // The empty name is this program again.
    auto [reader, writer] = mp::Pipe({.duplex = false});
    mp::Process child = ctx.Process(say_which_program, writer);
    child.start();
    CHECK(
        reader.recv<std::string>() == std::filesystem::read_symlink("/proc/self/exe")
    );
    CHECK(child.join());
}

TEST_CASE("set_executable: another build is refused, and leaves nothing behind") {
    const test::TempDir folder;
    const auto copy = copy_of_this_program(folder);
    change_build_id(copy);
    {
        const OtherProgram other(copy);
        mp::Process spawned = mp::get_context("spawn").Process(do_nothing);
        CHECK_THROWS_AS(spawned.start(), mp::BinaryMismatch);
        mp::Process forked = mp::get_context("forkserver").Process(do_nothing);
        CHECK_THROWS_AS(forked.start(), mp::SpawnError);
    }
    CHECK(mp::active_children().empty());
    CHECK(test::exit_code_of(mp::get_context("spawn").Process(do_nothing)) == 0);
    CHECK(test::exit_code_of(mp::get_context("forkserver").Process(do_nothing)) == 0);
}

TEST_CASE("set_executable: a fork needs no program") {
    const OtherProgram none("/nonexistent/program");
    CHECK(test::exit_code_of(mp::get_context("fork").Process(do_nothing)) == 0);
}
