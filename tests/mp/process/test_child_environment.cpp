// SPDX-License-Identifier: BSL-1.0
// Environment: the variables of a child, and its working directory.
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <cstring>
#include <filesystem>
#include <string>
#include <thread>
#include <utility>

using namespace std::chrono_literals;

namespace {

bool variable_is_green() {
    const char* const value = std::getenv("MP_TEST_COLOUR");
    return value != nullptr && std::string(value) == "green";
}

constexpr std::size_t page = 4096;

void* slow_page = nullptr;
std::array<int, 2> reached{};
std::array<int, 2> gate{};

/// A thread that reads the page stands still here.
void wait_at_slow_page(int) {
    char byte = 'x';
    static_cast<void>(!::write(reached[1], &byte, 1));
    static_cast<void>(!::read(gate[0], &byte, 1));
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

TEST_CASE(
    "Environment: a child gets it also while another thread of its parent is in "
    "setenv()",
    "[process][no-asan][no-tsan]"
) {
    REQUIRE(::pipe2(reached.data(), O_CLOEXEC) == 0);
    REQUIRE(::pipe2(gate.data(), O_CLOEXEC) == 0);
    slow_page = ::mmap(
        nullptr, page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0
    );
    REQUIRE(slow_page != MAP_FAILED);
    auto* const variable = static_cast<char*>(slow_page);
    std::strcpy(variable, "MP_TEST_SLOW=1");
    REQUIRE(::putenv(variable) == 0);
    struct sigaction wait {};
    wait.sa_handler = wait_at_slow_page;
    struct sigaction before {};
    REQUIRE(::sigaction(SIGSEGV, &wait, &before) == 0);
    // It looks at all variables while it holds the lock.
    REQUIRE(::mprotect(slow_page, page, PROT_NONE) == 0);
    std::thread setter([] { ::setenv("MP_TEST_OTHER", "1", 1); });
    char byte = 0;
    REQUIRE(::read(reached[0], &byte, 1) == 1);
    REQUIRE(::mprotect(slow_page, page, PROT_READ | PROT_WRITE) == 0);
    ::sigaction(SIGSEGV, &before, nullptr);

    mp::ProcessOptions options;
    options.environment = {{"MP_TEST_COLOUR", "green"}, {"MP_TEST_SLOW", std::nullopt}};
    auto child = mp::Context(mp::StartMethod::fork).Process(std::move(options), [] {
        const bool gone = std::getenv("MP_TEST_SLOW") == nullptr;
        ::_exit(variable_is_green() && gone ? 0 : 1);
    });
    child.start();
    child.join(20s);
    CHECK(child.exitcode() == 0);
    child.kill();
    child.join();

    REQUIRE(::write(gate[1], &byte, 1) == 1);
    setter.join();
    ::unsetenv("MP_TEST_OTHER");
    ::unsetenv("MP_TEST_SLOW");
    ::munmap(slow_page, page);
    for (const int fd : {reached[0], reached[1], gate[0], gate[1]}) {
        ::close(fd);
    }
}
