// SPDX-License-Identifier: BSL-1.0
// What the report of a crash in a shared library says: its frames, by name or by module
// and offset, from where it happened on, and none of the library's own.
#include "futures/process_pool.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/crashing_library.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <sys/mman.h>

#include <regex>
#include <sstream>
#include <string>
#include <vector>

using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using namespace std::chrono_literals;
using test::on;

namespace {

// Not inlined, so that each has a frame; what follows the call keeps it from being the
// last thing that they do.
[[gnu::noinline]] int wrapper(int x) {
    return third_crash(x) + 1;
}

[[gnu::noinline]] int aborting(int x) {
    return third_abort(x) + 1;
}

[[gnu::noinline]] int calling_nothing(int x) {
    return third_call_nothing(x) + 1;
}

[[gnu::noinline]] int raising(int x) {
    return third_raise(x) + 1;
}

[[gnu::noinline]] int copying(int x) {
    return third_copy(x) + 1;
}

[[gnu::noinline]] int crash_here(int x) {
    volatile int* const nowhere = nullptr;
    return *nowhere + x;
}

[[gnu::noinline]] int back_and_forth(int x) {
    return third_callback(crash_here, x) + 1;
}

[[gnu::noinline]] int deep(int x) {
    volatile char room[256] = {static_cast<char>(x)};
    return x < 0 ? x : deep(x + 1) + room[0];
}

// The loader knows it by this path only in the worker.
[[gnu::noinline]] int in_plug_in(const std::string& path) {
    void* const library = ::dlopen(path.c_str(), RTLD_NOW | RTLD_LOCAL);
    auto* const function = reinterpret_cast<int (*)(int)>(
        library != nullptr ? ::dlsym(library, "third_crash") : nullptr
    );
    return function != nullptr ? function(1) + 1 : -1;
}

template <class F, class... Args>
WorkerLost loss_of(ProcessPoolExecutor& pool, F function, Args... args) {
    auto future = pool.submit(function, args...);
    try {
        future.result(60s);
    } catch (const WorkerLost& lost) {
        return lost;
    }
    FAIL("the worker lives");
    throw;
}

std::vector<std::string> lines_of(const WorkerLost& lost) {
    std::vector<std::string> lines;
    std::istringstream text(lost.report().stack);
    for (std::string line; std::getline(text, line);) {
        lines.push_back(line);
    }
    return lines;
}

bool is(const std::string& line, const std::string& pattern) {
    return std::regex_match(line, std::regex(pattern));
}

/// A function of this file; its line is told where there is a library that knows it.
std::string in_program(const std::string& function) {
    return ".*" + function + "( at .*test_crash_in_library[.]cpp:[0-9]+)?";
}

constexpr const char* in_library =
    ".* \\(/.*/libcrashing_library[.]so[+]0x[0-9a-f]+\\)";

}  // namespace

// The sanitizers have handlers of their own for these.
#define CRASHES "[no-asan][no-tsan]"

TEST_CASE("crash report: the frames of a library come first, by name", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines = lines_of(loss_of(pool, wrapper, 1));
    INFO(lines.size());
    REQUIRE(lines.size() == 3);
    CHECK(is(lines[0], ".*write_to.*"));
    CHECK(is(lines[0], in_library));
    CHECK(is(lines[1], "third_crash .*"));
    CHECK(is(lines[1], in_library));
    CHECK(is(lines[2], in_program("wrapper\\(int\\)")));
}

TEST_CASE("crash report: abort() and raise() begin where they are called", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto aborted = lines_of(loss_of(pool, aborting, 1));
    REQUIRE(aborted.size() == 2);
    CHECK(is(aborted[0], "third_abort .*"));
    CHECK(is(aborted[1], in_program("aborting\\(int\\)")));
    const auto raised = loss_of(pool, raising, 1);
    CHECK(raised.report().signal == SIGFPE);
    CHECK_THAT(raised.report().stack, test::ContainsSubstring("third_raise "));
}

TEST_CASE("crash report: a function of the C library is a frame, too", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines = lines_of(loss_of(pool, copying, 1));
    REQUIRE(lines.size() == 3);
    CHECK(is(lines[0], ".*libc.*[+]0x[0-9a-f]+\\)?"));
    CHECK(is(lines[1], "third_copy .*"));
    CHECK(is(lines[2], in_program("copying\\(int\\)")));
}

TEST_CASE("crash report: a call to where no code is names its caller", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines = lines_of(loss_of(pool, calling_nothing, 1));
    REQUIRE(lines.size() >= 2);
    CHECK(lines[0] == "0x0");
    CHECK(is(lines[1], "third_call_nothing .*"));
}

TEST_CASE("crash report: the program's frames between a library's stay", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines = lines_of(loss_of(pool, back_and_forth, 1));
    REQUIRE(lines.size() == 3);
    CHECK(is(lines[0], in_program("crash_here\\(int\\)")));
    CHECK(is(lines[1], "third_callback .*"));
    CHECK(is(lines[2], in_program("back_and_forth\\(int\\)")));
}

TEST_CASE(
    "crash report: a stack that overflowed is told as far as there is room", CRASHES
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines = lines_of(loss_of(pool, deep, 1));
    REQUIRE(lines.size() > 8);
    for (const std::string& line : lines) {
        CHECK(is(line, in_program("deep\\(int\\)")));
    }
}

TEST_CASE("crash report: plug-ins that only the worker has loaded", CRASHES) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lines =
        lines_of(loss_of(pool, in_plug_in, std::string(CRASHING_PLUG_IN)));
    REQUIRE(lines.size() == 3);
    // It has no symbols but those that others may use.
    CHECK(is(lines[0], "/.*/crashing_plug_in[.]so[+]0x[0-9a-f]+"));
    CHECK(is(lines[1], "third_crash \\(/.*/crashing_plug_in[.]so[+]0x[0-9a-f]+\\)"));
    CHECK(is(lines[2], ".*in_plug_in\\(.*"));
}

namespace {

int die_large(std::size_t bytes) {
    void* const room = ::mmap(
        nullptr,
        bytes,
        PROT_READ | PROT_WRITE,
        MAP_PRIVATE | MAP_ANONYMOUS | MAP_POPULATE,
        -1,
        0
    );
    ::raise(room != MAP_FAILED ? SIGKILL : SIGTERM);
    return 0;
}

}  // namespace

TEST_CASE("crash report: the largest resident size of the worker") {
    constexpr std::size_t bytes = 64UL << 20;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const auto lost = loss_of(pool, die_large, bytes);
    CHECK(lost.report().signal == SIGKILL);
    CHECK(lost.report().peak_memory_bytes >= bytes);
    CHECK(lost.report().peak_memory_bytes < 64 * bytes);
}

TEST_CASE("ProcessHandle: the largest resident size of a process that has ended") {
    constexpr std::size_t bytes = 64UL << 20;
    const auto context = each_pool_start_method();
    auto process = context.Process(die_large, bytes);
    process.start();
    const auto handle = process.handle();
    process.join();
    CHECK(handle.peak_memory_bytes() >= bytes);
}
