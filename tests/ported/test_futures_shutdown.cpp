// SPDX-License-Identifier: BSL-1.0
// Shutdown, exit and initializers with the thread pool, by the rows of the conformance
// table.
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "ported/shutdown_rows.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/read_all.hpp"
#include "util/exit_function.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <iostream>
#include <memory>
#include <mutex>
#include <optional>
#include <regex>
#include <semaphore>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ThreadPoolExecutor;

namespace {

/// Everything the program wrote to stdout and stderr, and its exit status.
struct Run {
    std::string output;
    std::string errors;
    int status = 0;
};

/// Runs `program` as a process of its own that ends by exit(0).
template <class Program>
Run run_program(Program program) {
    std::array<int, 2> out{};
    std::array<int, 2> err{};
    REQUIRE(::pipe(out.data()) == 0);
    REQUIRE(::pipe(err.data()) == 0);
    std::cout.flush();  // else the child would say it again
    std::fflush(nullptr);
    const pid_t child = test::fork_child([&]() -> int {
        ::dup2(out[1], STDOUT_FILENO);
        ::dup2(err[1], STDERR_FILENO);
        for (const int fd : {out[0], out[1], err[0], err[1]}) {
            ::close(fd);
        }
        mp::detail::own_exit_of_forked_child();
        program();
        std::exit(0);
    });
    ::close(out[1]);
    ::close(err[1]);
    Run run;
    run.output = test::read_all(out[0]);
    ::close(out[0]);
    run.errors = test::read_all(err[0]);
    ::close(err[0]);
    run.status = test::exit_status(child);
    return run;
}

void say(const char* text) {
    const std::string line = std::string(text) + "\n";
    static_cast<void>(!::write(STDOUT_FILENO, line.data(), line.size()));
}

void sleep_and_say(std::chrono::milliseconds pause, const char* text) {
    // A task that takes its time.
    std::this_thread::sleep_for(pause);
    say(text);
}

thread_local std::string status = "uninitialized";

namespace shutdown_rows = test::shutdown_rows;
using shutdown_rows::negated;

}  // namespace

TEST_CASE("ExecutorShutdownTest.test_run_after_shutdown: submit() is refused") {
    ThreadPoolExecutor threads(1);
    shutdown_rows::run_after_shutdown(threads);
}

TEST_CASE("ExecutorShutdownTest.test_interpreter_shutdown: what was submitted is done"
) {
    const Run run = run_program([] {
        // Never destroyed, so nothing but the exit step waits for it.
        auto* const threads = new ThreadPoolExecutor(5);
        threads->submit(sleep_and_say, 100ms, "apple");
    });
    CHECK(run.status == 0);
    CHECK(run.output == "apple\n");
    CHECK(run.errors.empty());
}

TEST_CASE("ExecutorShutdownTest.test_submit_after_interpreter_shutdown: refused") {
    static ThreadPoolExecutor* threads = nullptr;
    const Run run = run_program([] {
        threads = new ThreadPoolExecutor(1);
        threads->submit(negated, 1);
        mp::detail::add_exit_part(mp::detail::ExitPhase::finalizers, [] {
            try {
                threads->submit(negated, 2);
            } catch (const mp::StateError& error) {
                say(error.what());
            }
            try {
                const ThreadPoolExecutor late(1);
            } catch (const mp::StateError&) {
                say("no new executor");
            }
        });
    });
    CHECK(run.status == 0);
    CHECK(
        run.output ==
        "no new work is accepted: the program is exiting\nno new executor\n"
    );
}

TEST_CASE("ExecutorShutdownTest.test_hang_issue12364: all results are there") {
    ThreadPoolExecutor threads(5);
    shutdown_rows::hang_issue12364(threads);
}

TEST_CASE("ExecutorShutdownTest.test_cancel_futures: none is left pending") {
    ThreadPoolExecutor threads(5);
    shutdown_rows::cancel_futures(threads);
}

TEST_CASE("ExecutorShutdownTest.test_hang_gh83386: shutdown(wait=False), then exit") {
    const Run run = run_program([] {
        auto* const threads = new ThreadPoolExecutor(5);
        threads->submit(sleep_and_say, 100ms, "apple");
        threads->shutdown({.wait = false});
    });
    CHECK(run.status == 0);
    CHECK(run.output == "apple\n");
    CHECK(run.errors.empty());
}

TEST_CASE("ExecutorShutdownTest.test_hang_gh94440: cancel at once, then shutdown") {
    shutdown_rows::hang_gh94440([] { return std::make_unique<ThreadPoolExecutor>(1); });
}

TEST_CASE("ExecutorTest.test_shutdown_race_issue12456: map, then shutdown at once") {
    // In a child, since a shutdown that is not noticed would hang.
    const int status = test::run_in_fork_for(30s, [] {
        const bool well = shutdown_rows::shutdown_race_issue12456([] {
            return std::make_unique<ThreadPoolExecutor>(3);
        });
        return well ? 0 : 1;
    });
    CHECK(status == 0);
}

TEST_CASE("ThreadPoolShutdownTest.test_threads_terminate: three tasks, three threads") {
    ThreadPoolExecutor threads(5);
    std::counting_semaphore<> go(0);
    for (int i = 0; i < 3; ++i) {
        threads.submit([&] { go.acquire(); });
    }
    CHECK(threads.statistics().threads == 3);
    go.release(3);
    threads.shutdown();
}

TEST_CASE("ThreadPoolShutdownTest.test_context_manager_shutdown: the scope waits") {
    shutdown_rows::context_manager_shutdown<ThreadPoolExecutor>(5);
}

TEST_CASE("ThreadPoolShutdownTest.test_del_shutdown: dropping it finishes the work") {
    shutdown_rows::del_shutdown<ThreadPoolExecutor>(5);
}

TEST_CASE("ThreadPoolShutdownTest.test_shutdown_no_wait: the work goes on") {
    ThreadPoolExecutor threads(5);
    shutdown_rows::shutdown_no_wait(threads);
}

TEST_CASE("ThreadPoolShutdownTest.test_thread_names_assigned: prefix_N") {
    std::set<std::string> names;
    ThreadPoolExecutor threads({.max_workers = 5, .thread_name_prefix = "SpecialPool"});
    for (auto&& name : threads.map(
             [](int) { return futures::current_thread_name(); }, std::vector<int>(20)
         )) {
        names.insert(name);
    }
    for (const auto& name : names) {
        CHECK(std::regex_match(name, std::regex("SpecialPool_[0-4]")));
    }
}

TEST_CASE("ThreadPoolShutdownTest.test_thread_names_default: ThreadPoolExecutor-K_N") {
    ThreadPoolExecutor a(5);
    ThreadPoolExecutor b(5);
    const auto first = a.submit(futures::current_thread_name).result();
    const auto second = b.submit(futures::current_thread_name).result();
    const std::regex form("(ThreadPoolExecutor-[0-9]+)_0");
    std::smatch one;
    std::smatch two;
    REQUIRE(std::regex_match(first, one, form));
    REQUIRE(std::regex_match(second, two, form));
    CHECK(one.str(1) != two.str(1));
}

TEST_CASE("ThreadPoolShutdownTest.test_cancel_futures_wait_false: no hang at exit") {
    const Run run = run_program([] {
        auto* const threads = new ThreadPoolExecutor(1);
        threads->submit(sleep_and_say, 100ms, "apple");
        threads->shutdown({.wait = false, .cancel_futures = true});
    });
    CHECK(run.status == 0);
    CHECK((run.output == "apple\n" || run.output.empty()));
    CHECK(run.errors.empty());
}

TEST_CASE("InitializerMixin.test_initializer: before each worker's first task [thread]"
) {
    ThreadPoolExecutor
        threads({.max_workers = 2, .initializer = [set = std::string("initialized")] {
                     status = set;
                 }});
    std::counting_semaphore<> go(0);
    std::vector<Future<std::string>> fs;
    for (int i = 0; i < 4; ++i) {
        fs.push_back(threads.submit([&] {
            go.acquire();
            return status;
        }));
    }
    go.release(4);
    for (const auto& f : fs) {
        CHECK(f.result() == "initialized");
    }
}

TEST_CASE("FailingInitializerMixin.test_initializer: the executor is broken [thread]") {
    const test::LogCapture log;
    const test::Gate gate;
    ThreadPoolExecutor threads({.max_workers = 2, .initializer = [&] {
                                    test::pass(gate.path());
                                    throw std::invalid_argument("error in initializer");
                                }});
    shutdown_rows::failing_initializer<futures::BrokenThreadPool>(threads, gate);
    CHECK(log.text().find("error in initializer") != std::string::npos);
}
