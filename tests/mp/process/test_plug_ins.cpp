// SPDX-License-Identifier: BSL-1.0
// Plug-ins: functions of a module whose dependencies lie beside it, in every child; and
// a plug-in that uses libmp inside a host whose main is not its own, by libmp-worker.
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/forkserver.hpp"
#include "mp/spawn.hpp"

#include "os/socket.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/fork_child.hpp"
#include "support/program.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <dlfcn.h>
#include <fcntl.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <string>

namespace fs = std::filesystem;

namespace {

/// A module loaded by hand, until the end of the case.
class Loaded {
public:
    explicit Loaded(const fs::path& path)
        : handle_(::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL)) {
        INFO((handle_ == nullptr ? ::dlerror() : "loaded"));
        REQUIRE(handle_ != nullptr);
    }

    ~Loaded() { ::dlclose(handle_); }

    Loaded(const Loaded&) = delete;
    Loaded& operator=(const Loaded&) = delete;

    auto task() const {
        return reinterpret_cast<int (*)(int)>(::dlsym(handle_, "plug_in_task"));
    }

private:
    void* handle_;
};

constexpr auto plug_in = "plug_in.so";
constexpr auto neighbour = "liborigin_neighbour.so";

void do_nothing() {}

// Its own folder has what it needs, and a child that has not loaded it finds that, too.
int outcome_in_child(const mp::Context& context, const fs::path& folder) {
    const Loaded module(folder / plug_in);
    return test::exit_code_of(context.Process(module.task(), 4));
}

}  // namespace

TEST_CASE("plug-in: a neighbour of its own is found by $ORIGIN", "[process]") {
    const auto context = each_start_method();
    const test::TempDir folder;
    fs::copy_file(ORIGIN_PLUG_IN, folder.path() / plug_in);
    fs::copy_file(ORIGIN_NEIGHBOUR, folder.path() / neighbour);
    CHECK(outcome_in_child(context, folder.path()) == 0);
}

TEST_CASE("plug-in: $ORIGIN is where the path says, links and all", "[process]") {
    const auto context = each_start_method();
    const test::TempDir folder;
    fs::create_symlink(ORIGIN_PLUG_IN, folder.path() / plug_in);
    fs::create_symlink(ORIGIN_NEIGHBOUR, folder.path() / neighbour);
    CHECK(outcome_in_child(context, folder.path()) == 0);
}

namespace {

test::Finished
hosted(const std::string& method, const std::string& worker, const char* module) {
    return test::run({PLAIN_HOST, module, method, worker});
}

}  // namespace

TEST_CASE("libmp-worker: a plug-in in a host with a main of its own", "[slow]") {
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    CAPTURE(method);
    const auto finished = hosted(method, LIBMP_WORKER, POOL_PLUG_IN);
    CAPTURE(finished.out, finished.err);
    CHECK(finished.status == 0);
    CHECK_THAT(finished.out, test::ContainsSubstring("all good"));
    CHECK(finished.err.find("libmp-worker") == std::string::npos);
    CHECK_THAT(finished.out, test::ContainsSubstring("pool_plug_in.so+0x"));
}

TEST_CASE("libmp-worker: started by hand it says what it is", "[process]") {
    const auto finished = test::run({LIBMP_WORKER});
    CHECK(finished.status == 2);
    CHECK_THAT(finished.err, test::ContainsSubstring("mp::set_executable()"));
}

TEST_CASE("libmp-worker: what it cannot load is told by start()", "[process]") {
    const std::string method = GENERATE("spawn", "forkserver");
    // The program of this test has libmp in it, or a shared one beside it; in the first
    // case nothing can load it, in the second the function is what cannot be found.
    mp::stop_helpers();
    mp::set_executable(LIBMP_WORKER);
    const auto context = mp::get_context(method);
    std::string text;
    try {
        auto child = context.Process(do_nothing);
        child.start();
        child.join();
        CHECK(child.exitcode() == 1);
        text = "a part of the program";
    } catch (const mp::ProcessError& error) {
        text = error.what();
    }
    mp::set_executable("");
    mp::stop_helpers();
    CHECK_THAT(text, test::ContainsSubstring("a part of the program"));
}

TEST_CASE("set_executable: a script that changes the arguments starts no chain") {
    const std::string method = GENERATE("spawn", "forkserver");
    CAPTURE(method);
    const test::TempDir folder;
    const fs::path script = folder.path() / "script";
    std::ofstream(script) << "#!/bin/sh\nexec " << fs::canonical("/proc/self/exe")
                          << " \"$@\" --verbose\n";
    fs::permissions(script, fs::perms::owner_all);
    mp::stop_helpers();
    mp::set_executable(script);
    auto child = mp::get_context(method).Process(do_nothing);
    CHECK_THROWS_AS(child.start(), mp::SpawnError);
    mp::set_executable("");
    mp::stop_helpers();
}

TEST_CASE("plug-in: a host that overwrites its arguments starts no endless chain") {
    const std::string method = GENERATE("spawn", "forkserver");
    const std::string how = GENERATE("title", "wipe", "close");
    CAPTURE(method, how);
    const test::TempDir folder;
    std::ofstream(folder.path() / "settings")
        << how << " " << method << " " POOL_PLUG_IN << std::endl;
    const auto finished =
        test::run({OVERWRITING_HOST}, {.directory = folder.path().string()});
    CAPTURE(finished.out, finished.err);
    CHECK(finished.status == 10);
    CHECK_THAT(finished.out, test::ContainsSubstring("SpawnError"));
    std::ifstream file(folder.path() / "notes");
    int runs = 0;
    for (std::string line; std::getline(file, line);) {
        ++runs;
    }
    CHECK(runs == 2);  // the host, and the child that is refused
}

TEST_CASE("libmp-worker: loads nothing for a socket that is not its parent's") {
    auto [ours, theirs] = mp::os::make_socketpair(mp::os::SocketKind::stream);
    const auto captured = test::run_captured([&, &theirs = theirs] {
        // Of the grandparent.
        return test::run_in_fork([&] {
            ::fcntl(theirs.get(), F_SETFD, 0);
            const std::string number = std::to_string(theirs.get());
            ::execl(
                LIBMP_WORKER,
                LIBMP_WORKER,
                "--multiprocessing-fork",
                number.c_str(),
                "/nonexistent/module",
                nullptr
            );
            return 98;
        });
    });
    CHECK(captured.status == 1);
    CHECK_THAT(captured.text, test::ContainsSubstring("not its parent's"));
    CHECK(captured.text.find("module") == std::string::npos);
}
