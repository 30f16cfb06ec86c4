// SPDX-License-Identifier: BSL-1.0
// What is told of a worker that died: how, why by its own last words, after how long,
// and with what it used.
#include "futures/process_pool.hpp"

#include "process_pool/crash_message.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cassert>
#include <chrono>
#include <cstdlib>
#include <string>
#include <thread>

using futures::BrokenProcessPool;
using futures::CrashReport;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using namespace std::chrono_literals;
using test::on;

namespace {

struct OddError {};

[[gnu::noinline]] int inner_call(int x) {
    if (x > 0) {
        std::abort();
    }
    return x;
}

[[gnu::noinline]] int outer_call(int x) {
    return inner_call(x) + 1;
}

[[gnu::noinline]] int endless(int x) {
    volatile char room[256] = {static_cast<char>(x)};
    return x < 0 ? x : endless(x + 1) + room[0];
}

// One frame that is larger than all the room that is left.
[[gnu::noinline]] int one_huge_frame(int x) {
    volatile char room[32UL << 20U];
    room[0] = static_cast<char>(x);
    return room[0] + 1;
}

int crash_at(std::uintptr_t address) {
    // NOLINTNEXTLINE(performance-no-int-to-ptr): it is to be wild
    return *reinterpret_cast<volatile int*>(address);
}

int read_behind_the_end() {
    const int fd = ::memfd_create("short", MFD_CLOEXEC);
    void* const memory = ::mmap(nullptr, 4096, PROT_READ, MAP_SHARED, fd, 0);
    return *static_cast<volatile int*>(memory);
}

int divide(int x, int y) {
    asm volatile("" : "+r"(y));
    return x / y;
}

#ifdef __x86_64__
int stop_at_breakpoint() {
    asm volatile("int3");
    return 1;
}
#endif

/// The linker's name of a type that is twice as long with each 11 letters.
std::string explosive_type() {
    std::string name = "1AI1BIiiE";
    for (const char level : std::string("123456789ABCDEFGHIJK")) {
        const std::string inner = std::string("S") + level + '_';
        name += "S0_I" + inner + inner + 'E';
    }
    return name + 'E';
}

void claim(bool truth) {
    // As assert() does it, whatever NDEBUG is.
    if (!truth) {
        __assert_fail("truth", "claims.cpp", 12, "void claim(bool)");
    }
}

void free_twice() {
    auto* const memory = static_cast<char*>(std::malloc(2000));
    asm volatile("" ::"r"(memory) : "memory");
    void (*volatile give_back)(void*) = std::free;
    give_back(memory);
    give_back(memory);  // NOLINT(clang-analyzer-unix.Malloc): that is the test
}

void throw_it(int what) {
    switch (what) {
    case 0:
        throw std::runtime_error("the disk\x1b[2J is full\nand hot");
    case 1:
        throw OddError();
    case 2:
        throw std::string("only text");
    default:
        std::terminate();
    }
}

void throw_out(int what) noexcept {
    throw_it(what);
}

void throw_in_a_thread() {
    std::thread([] { throw std::logic_error("in a thread"); }).join();
}

void use_time(std::clock_t ticks) {
    const std::clock_t end = std::clock() + ticks;
    while (std::clock() < end) {
    }
    ::raise(SIGKILL);
}

void leave(int code) {
    std::exit(code);
}

void leave_at_once(int code) {
    ::_exit(code);
}

int wait_for_gate(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    return 1;
}

/// A handler of the task's own: it ends the process in its own way.
void handle_it_myself() {
    ::signal(SIGSEGV, [](int) { ::_exit(77); });
    static_cast<void>(crash_at(16));
}

template <class F, class... Args>
WorkerLost loss(ProcessPoolExecutor& pool, F function, Args... args) {
    auto future = pool.submit(function, args...);
    try {
        future.result(60s);
    } catch (const WorkerLost& lost) {
        return lost;
    }
    FAIL("the worker lives");
    throw;
}

ProcessPoolExecutor isolating_pool() {
    return ProcessPoolExecutor(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
}

}  // namespace

// The sanitizers have handlers of their own for these signals.
#define REAL_CRASHES "[no-asan][no-tsan]"

TEST_CASE("crash report: signal, code and address of a wild pointer", REAL_CRASHES) {
    auto pool = isolating_pool();
    const auto lost = loss(pool, crash_at, std::uintptr_t{0x1230});
    const CrashReport& report = lost.report();
    CHECK(report.signal == SIGSEGV);
    CHECK(report.si_code == SEGV_MAPERR);
    CHECK(report.fault_address == 0x1230);
    CHECK_FALSE(report.stack_overflow);
    CHECK_FALSE(report.exit_code);
    CHECK(report.message.empty());
    CHECK(report.attempt == 1);
    CHECK_THAT(report.stack, test::ContainsSubstring("crash_at"));
    CHECK_THAT(
        lost.what(),
        test::ContainsSubstring("was killed by signal 11 (SIGSEGV) at address 0x1230")
    );
    CHECK(std::string(lost.what()).find('\n') == std::string::npos);
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
}

TEST_CASE("C4: a stack that overflows is told as that", REAL_CRASHES) {
    const auto context = each_pool_start_method();
    for (auto* const function : {endless, one_huge_frame}) {
        // The first worker: below the stack of a later one, which a thread of ours has
        // forked, may be other memory.
        ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
        const auto lost = loss(pool, function, 1);
        CHECK(lost.report().signal == SIGSEGV);
        CHECK(lost.report().stack_overflow);
        CHECK(!lost.report().stack.empty());
        CHECK_THAT(lost.what(), test::ContainsSubstring("stack overflow"));
        CHECK_THAT(
            lost.report().to_string(), test::ContainsSubstring("stack overflow")
        );
    }
}

TEST_CASE("C6 C7: SIGBUS and SIGFPE by the machine say why", REAL_CRASHES) {
    auto pool = isolating_pool();
    const auto bus = loss(pool, read_behind_the_end);
    CHECK(bus.report().signal == SIGBUS);
    CHECK(bus.report().si_code == BUS_ADRERR);
    CHECK(bus.report().fault_address != 0);
    CHECK_FALSE(bus.report().stack_overflow);
#ifdef __x86_64__  // other machines have a result for it
    const auto division = loss(pool, divide, 1, 0);
    CHECK(division.report().signal == SIGFPE);
    CHECK(division.report().si_code == FPE_INTDIV);
    CHECK_THAT(division.what(), test::ContainsSubstring("division of an integer"));
#endif
}

#ifdef __x86_64__  // elsewhere it would be run again
TEST_CASE("crash report: behind a breakpoint the task does not go on", REAL_CRASHES) {
    auto pool = isolating_pool();
    const auto lost = loss(pool, stop_at_breakpoint);
    CHECK(lost.report().signal == SIGTRAP);
    CHECK_THAT(lost.report().stack, test::ContainsSubstring("stop_at_breakpoint"));
}
#endif

TEST_CASE("crash report: a type's name that a worker has made up stays as short as it "
          "is") {
    futures::detail::CrashMessage message{};
    message.kind = futures::detail::CrashMessage::Kind::exception;
    const std::string name = explosive_type();
    REQUIRE(name.size() < message.type.size());
    std::copy(name.begin(), name.end(), message.type.begin());
    CHECK(
        futures::detail::crash_message_in_words(message) ==
        "std::terminate() with " + name
    );
}

TEST_CASE("C5: std::terminate() tells the exception", "[no-tsan]") {
    auto pool = isolating_pool();
    const auto full = loss(pool, throw_out, 0);
    CHECK(full.report().signal == SIGABRT);
    CHECK_THAT(full.report().message, test::ContainsSubstring("std::runtime_error"));
    // What a terminal would obey is not there.
    CHECK_THAT(
        full.report().message, test::ContainsSubstring("the disk?[2J is full\nand hot")
    );
    CHECK_THAT(full.what(), test::ContainsSubstring("is full and hot"));
    CHECK_THAT(
        loss(pool, throw_out, 1).report().message, test::ContainsSubstring("OddError")
    );
    CHECK_THAT(
        loss(pool, throw_out, 2).report().message, test::ContainsSubstring("only text")
    );
    CHECK_THAT(
        loss(pool, throw_out, 3).report().message,
        test::ContainsSubstring("without an exception")
    );
    CHECK_THAT(
        loss(pool, throw_in_a_thread).report().message,
        test::ContainsSubstring("std::logic_error: in a thread")
    );
}

TEST_CASE("C5: abort() alone has no message, and none of an earlier one") {
    auto pool = isolating_pool();
    CHECK(!loss(pool, throw_out, 0).report().message.empty());
    const auto lost = loss(
        pool, +[] { std::abort(); }
    );
    CHECK(lost.report().signal == SIGABRT);
    CHECK(lost.report().message.empty());
}

#ifdef __GLIBC__
TEST_CASE("crash report: what assert() and the heap's checks said", REAL_CRASHES) {
    auto pool = isolating_pool();
    const auto claimed = loss(pool, claim, false);
    CHECK(claimed.report().signal == SIGABRT);
    CHECK_THAT(
        claimed.report().message,
        test::ContainsSubstring("claims.cpp:12: void claim(bool): Assertion `truth'")
    );
    CHECK_THAT(claimed.what(), test::ContainsSubstring("Assertion `truth' failed"));
    CHECK_THAT(
        loss(pool, free_twice).report().message, test::ContainsSubstring("double free")
    );
}
#endif

TEST_CASE("crash report: CPU time, and how long the task ran") {
    auto pool = isolating_pool();
    const auto lost = loss(pool, use_time, CLOCKS_PER_SEC / 10);
    CHECK(lost.report().signal == SIGKILL);
    CHECK(lost.report().cpu_time >= 100ms);
    CHECK(lost.report().cpu_time < test::patience(3s));
    REQUIRE(lost.report().ran_for);
    CHECK(*lost.report().ran_for >= 90ms);  // to a tick of the coarse clock
    CHECK(*lost.report().ran_for < test::patience(3s));
    CHECK_FALSE(lost.report().out_of_memory);
    const std::string text = lost.report().to_string();
    CHECK_THAT(text, test::ContainsSubstring("use_time"));
    CHECK_THAT(text, test::ContainsSubstring("of CPU time"));
    CHECK_THAT(text, test::ContainsSubstring("ran for"));
}

TEST_CASE("pebble::process_pool::expired_worker: the report has exit code 1 and the pid"
) {
    auto pool = isolating_pool();
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
    const pid_t pid = pool.workers().at(0);
    const auto lost = loss(pool, leave_at_once, 1);
    CHECK(lost.report().exit_code == 1);
    CHECK(lost.report().pid == pid);
    CHECK_FALSE(lost.report().signal);
}

TEST_CASE("pebble::concurrent_process::dead_process "
          "ray::test_exit_observability::exit_code_4 "
          "ray::test_exit_observability::exit_code_0: the error names status and pid") {
    auto pool = isolating_pool();
    for (const int code : {123, 4, 0}) {
        const auto lost = loss(pool, leave, code);
        CHECK(lost.report().exit_code == code);
        CHECK_THAT(
            lost.what(),
            test::ContainsSubstring("exited with code " + std::to_string(code))
        );
        CHECK_THAT(
            lost.what(),
            test::ContainsSubstring("pid " + std::to_string(lost.report().pid))
        );
    }
}

TEST_CASE(
    "loky::process_executor::killed_child_names_signal "
    "loky::process_executor::exited_child_names_code: of a pool that breaks each error "
    "names it, also later"
) {
    const bool killed = GENERATE(true, false);
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::break_pool));
    const test::Gate bell;
    const test::Gate gate;
    const auto running = pool.submit(wait_for_gate, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto next = pool.submit(leave, 42);
    const char* name = "exited with code 42";
    if (killed) {
        name = "SIGTERM";
        REQUIRE(::kill(pool.workers().at(0), SIGTERM) == 0);
    } else {
        gate.open(1);
        CHECK(running.result(60s) == 1);
    }
    CHECK_THROWS_WITH(next.result(60s), test::ContainsSubstring(name));
    CHECK_THROWS_WITH(pool.submit(test::inc, 1), test::ContainsSubstring(name));
}

TEST_CASE(
    "ray::test_exit_observability::cancelled_and_killed: kill_workers() is told as "
    "that, and no worker counts as lost"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const test::Gate bell;
    const test::Gate gate;
    const auto future = pool.submit(wait_for_gate, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    pool.kill_workers();
    CHECK_THROWS_WITH(future.result(60s), test::ContainsSubstring("shut down"));
    pool.shutdown();
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "dask::test_scheduler::killed_message: the error names the task, its attempts and "
    "the last worker"
) {
    auto pool = isolating_pool();
    auto future = pool.submit({.retries = 2}, leave_at_once, 5);
    try {
        future.result(60s);
        FAIL("the worker lives");
    } catch (const WorkerLost& lost) {
        CHECK(lost.report().attempt == 3);
        CHECK_THAT(lost.what(), test::ContainsSubstring("leave_at_once"));
        CHECK_THAT(lost.what(), test::ContainsSubstring(lost.report().worker));
        CHECK_THAT(lost.what(), test::ContainsSubstring("2 earlier attempts"));
        CHECK_THAT(lost.report().to_string(), test::ContainsSubstring("attempt 3"));
    }
}

TEST_CASE(
    "ray::test_traceback::chain_text: the stack has the program's calls, the innermost "
    "first, and none of the library's"
) {
    auto pool = isolating_pool();
    const std::string stack = loss(pool, outer_call, 1).report().stack;
    const auto inner = stack.find("inner_call(int)");
    const auto outer = stack.find("outer_call(int)");
    INFO(stack);
    CHECK(inner < outer);
    CHECK(outer != std::string::npos);
    CHECK(stack.find("futures::") == std::string::npos);
    CHECK(stack.find("mp::") == std::string::npos);
    CHECK(stack.find("abort") == std::string::npos);
}

TEST_CASE("crash report: a handler of the task's own is left alone", REAL_CRASHES) {
    auto pool = isolating_pool();
    const auto lost = loss(pool, handle_it_myself);
    CHECK(lost.report().exit_code == 77);
    CHECK(lost.report().stack.empty());
}

TEST_CASE("crash report: the first reading of a report gives all threads the same") {
    auto pool = isolating_pool();
    const auto lost = loss(
        pool, +[] { std::abort(); }
    );
    const WorkerLost copy = lost;
    const CrashReport* other = nullptr;
    std::thread reader([&] { other = &copy.report(); });
    const CrashReport* const mine = &lost.report();
    reader.join();
    CHECK(mine == other);
}
