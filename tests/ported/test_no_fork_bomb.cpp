// SPDX-License-Identifier: BSL-1.0
// Programs whose main does not begin with freeze_support(), or that start a process
// before main: an error, not endless processes.
#include "support/catch.hpp"

#include <spawn.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <cstdio>
#include <string>
#include <vector>

extern char** environ;

namespace {

struct Outcome {
    int code;
    std::string output;
};

// Runs a program of this folder with its standard output in a file.
Outcome run(const char* program, std::vector<std::string> arguments) {
    std::FILE* file = std::tmpfile();
    posix_spawn_file_actions_t actions;
    ::posix_spawn_file_actions_init(&actions);
    ::posix_spawn_file_actions_adddup2(&actions, ::fileno(file), 1);
    ::posix_spawn_file_actions_adddup2(&actions, ::fileno(file), 2);
    std::vector<char*> argv{const_cast<char*>(program)};
    for (auto& argument : arguments) {
        argv.push_back(argument.data());
    }
    argv.push_back(nullptr);
    pid_t pid = 0;
    REQUIRE(::posix_spawn(&pid, program, &actions, nullptr, argv.data(), environ) == 0);
    int status = 0;
    REQUIRE(::waitpid(pid, &status, 0) == pid);
    ::posix_spawn_file_actions_destroy(&actions);
    Outcome outcome{WIFEXITED(status) ? WEXITSTATUS(status) : -WTERMSIG(status), {}};
    std::rewind(file);
    for (int c = std::fgetc(file); c != EOF; c = std::fgetc(file)) {
        outcome.output += static_cast<char>(c);
    }
    std::fclose(file);
    return outcome;
}

}  // namespace

TEST_CASE(
    "TestNoForkBomb.test_noforkbomb: a main without the first line does not recurse",
    "[process]"
) {
    const std::string method = GENERATE("spawn", "forkserver");
    const Outcome outcome = run(MP_WITHOUT_FREEZE_SUPPORT, {method});
    CHECK(outcome.code == 10);
    CHECK(outcome.output.find("freeze_support") != std::string::npos);
    CHECK(outcome.output.find("123") == std::string::npos);
    CHECK(outcome.output.size() < 4096);
}

TEST_CASE("TestNoForkBomb.test_noforkbomb: fork needs no first line", "[process]") {
    const Outcome outcome = run(MP_WITHOUT_FREEZE_SUPPORT, {"fork"});
    CHECK(outcome.code == 0);
    CHECK(outcome.output == "123\n");
}

TEST_CASE("TestNoForkBomb.test_noforkbomb: a static initialiser is told", "[process]") {
    const Outcome outcome = run(MP_STARTS_BEFORE_MAIN, {});
    CHECK(outcome.code == 10);
    CHECK(outcome.output.find("bootstrapping") != std::string::npos);
    CHECK(outcome.output.find("freeze_support") != std::string::npos);
}
