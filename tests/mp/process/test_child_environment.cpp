// SPDX-License-Identifier: BSL-1.0
// Environment: the variables of a child, and its working directory.
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>
#include <utility>

namespace {

bool variable_is_green() {
    const char* const value = std::getenv("MP_TEST_COLOUR");
    return value != nullptr && std::string(value) == "green";
}

}  // namespace

TEST_CASE(
    "Environment: a process gets variables and a directory of its own", "[process]"
) {
    const auto context = each_start_method();
    const test::TempDir folder;
    mp::ProcessOptions options;
    options.environment = {{"MP_TEST_COLOUR", "green"}};
    options.working_directory = folder.path().string();
    auto child = context.Process(
        std::move(options),
        [](const std::string& path) {
            ::_exit(
                variable_is_green() && std::filesystem::current_path() == path ? 0 : 1
            );
        },
        folder.path().string()
    );
    child.start();
    child.join();
    CHECK(child.exitcode() == 0);
    options.environment = {{"a=b", "c"}};
    auto wrong = context.Process(std::move(options), variable_is_green);
    CHECK_THROWS_AS(wrong.start(), mp::SpawnError);
}

TEST_CASE("Environment: std::nullopt takes a variable away", "[process]") {
    const auto context = each_start_method();
    ::setenv("MP_TEST_COLOUR", "green", 1);
    mp::ProcessOptions options;
    options.environment = {{"MP_TEST_COLOUR", std::nullopt}};
    auto child = context.Process(std::move(options), [] {
        ::_exit(std::getenv("MP_TEST_COLOUR") == nullptr ? 0 : 1);
    });
    child.start();
    child.join();
    ::unsetenv("MP_TEST_COLOUR");
    CHECK(child.exitcode() == 0);
}

TEST_CASE("Environment: a directory that is not there is a SpawnError", "[process]") {
    const auto context = each_start_method();
    mp::ProcessOptions options;
    options.working_directory = "/nonexistent/folder";
    auto child = context.Process(std::move(options), variable_is_green);
    CHECK_THROWS_WITH(child.start(), test::ContainsSubstring("/nonexistent/folder"));
}
