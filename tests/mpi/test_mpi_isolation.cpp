// SPDX-License-Identifier: BSL-1.0
// Isolation::process: a crash, a limit of time or of memory ends one task, and nothing
// else.
#include "futures/errors.hpp"
#include "futures/mpi_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "futures/this_task.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/temp_tree.hpp"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <exception>
#include <set>
#include <stdexcept>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenMPIPool;
using futures::Future;
using futures::MPIPoolExecutor;
using futures::TaskTimeout;
using futures::WorkerLost;
using test::ContainsSubstring;
using test::Gate;
using test::twice;
using test::rows::expect_lost;

namespace {

void die_of(int signal) {
    ::signal(signal, SIG_DFL);
    ::raise(signal);
}

void exit_with(int code) {
    std::exit(code);
}

void fail() {
    throw std::domain_error("nobody catches this");
}

void fail_where_nothing_may() noexcept {
    fail();
}

/// Dies at each attempt but the last one, which it returns.
std::uint32_t die_until(std::uint32_t attempt) {
    const auto now = futures::this_task().attempt();
    if (now < attempt) {
        die_of(SIGKILL);
    }
    return now;
}

pid_t ring_and_pass_pid(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    return ::getpid();
}

void run_for_ever() {
    for (;;) {
        ::pause();
    }
}

/// Heeds the request to stop.
void run_until_asked() {
    for (;;) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
}

std::size_t take_memory(std::size_t bytes) {
    const std::vector<char> memory(bytes, 'x');
    return memory.size();
}

/// The variables that would let this process take part in the job.
std::vector<std::string> variables_of_mpi() {
    std::vector<std::string> found;
    for (char** entry = environ; *entry != nullptr; ++entry) {
        const std::string_view text(*entry);
        for (const std::string_view prefix : {"OMPI_", "PMIX_", "PMI_", "PRTE_"}) {
            if (text.starts_with(prefix)) {
                found.emplace_back(text.substr(0, text.find('=')));
            }
        }
    }
    return found;
}

int allowed_processors() {
    cpu_set_t set;
    return ::sched_getaffinity(0, sizeof set, &set) == 0 ? CPU_COUNT(&set) : -1;
}

std::string state = "uninitialized";

void ring_and_set_state(const std::string& bell) {
    test::ring(bell);
    state = "initialized";
}

std::string get_state() {
    return state;
}

/// Returns in the first worker that calls it; the others wait for the gate, and fail.
void initialise_first(const std::string& path, const std::string& gate) {
    const int fd = ::open(path.c_str(), O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600);
    if (fd < 0) {
        test::pass(gate);
        throw std::domain_error("not the first one");
    }
    ::close(fd);
}

void ring_and_run_for_ever(const std::string& bell) {
    test::ring(bell);
    run_for_ever();
}

void fail_to_initialise() {
    throw std::domain_error("no such luck");
}

}  // namespace

TEST_CASE("MPIPoolExecutor: isolated, a crash is one task's WorkerLost", "[mpi]") {
    MPIPoolExecutor executor(test::isolated(2));
    const Gate bell;
    const Gate gate;
    // Beside each crash there is one that runs, and there are some that wait.
    const auto beside = executor.submit(ring_and_pass_pid, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    std::vector<Future<void>> crashes;
    std::vector<Future<int>> others;
    for (const int signal : {SIGKILL, SIGSEGV, SIGTERM}) {
        crashes.push_back(executor.submit({.name = "the crash"}, die_of, signal));
        others.push_back(executor.submit(twice, signal));
    }
    const auto exits = executor.submit(exit_with, 3);
    const auto terminates = executor.submit(fail_where_nothing_may);
    others.push_back(executor.submit(twice, 1));

    const std::vector signals{SIGKILL, SIGSEGV, SIGTERM};
    for (std::size_t i = 0; i < signals.size(); ++i) {
        const WorkerLost error = expect_lost(crashes[i]);
        CHECK(error.report().signal == signals[i]);
        CHECK(error.report().task == "the crash");
        CHECK(error.report().attempt == 1);
        CHECK(error.report().pid > 0);
        CHECK_THAT(error.what(), ContainsSubstring("the crash"));
        CHECK(others[i].result(30s) == twice(signals[i]));
    }
    const WorkerLost exited = expect_lost(exits);
    CHECK(exited.report().exit_code == 3);
    CHECK_THAT(exited.report().task, ContainsSubstring("exit_with"));
    const WorkerLost terminated = expect_lost(terminates);
    CHECK(terminated.report().signal == SIGABRT);
    CHECK_THAT(
        terminated.report().to_string(), ContainsSubstring("nobody catches this")
    );
    CHECK(others.back().result(30s) == 2);
    gate.open(1);
    CHECK(beside.result(30s) > 0);
    CHECK(executor.statistics().tasks_lost == 5);
    CHECK(executor.num_workers() == test::serving());
}

TEST_CASE("MPIPoolExecutor: isolated, a loss tells in which rank", "[mpi]") {
    MPIPoolExecutor executor(test::in_one_rank(test::isolated()));
    const auto rank = executor.statistics().ranks.front();
    const auto texts =
        test::texts_of_throwing([&] { executor.submit(die_of, SIGKILL).result(30s); });
    CHECK_THAT(texts, ContainsSubstring("rank " + std::to_string(rank.rank) + " of "));
    CHECK_THAT(texts, ContainsSubstring("on host " + rank.host));
}

TEST_CASE("MPIPoolExecutor: isolated, a lost task is run again", "[mpi]") {
    MPIPoolExecutor executor(test::in_one_rank(test::isolated()));
    CHECK(executor.submit({.retries = 2}, die_until, 3).result(30s) == 3);
    CHECK(executor.statistics().retried == 2);
    CHECK(executor.statistics().tasks_lost == 2);
    const WorkerLost error = expect_lost(executor.submit({.retries = 1}, die_until, 9));
    CHECK(error.attempts() == 2);
    CHECK(error.report().attempt == 2);
    CHECK(error.is_poison());
    auto items = executor.map({.chunksize = 3, .retries = 2}, die_until, {1U, 2U, 3U});
    CHECK(items.to_vector().back() == 3);
}

TEST_CASE("MPIPoolExecutor: isolated, a limit of time is one task's", "[mpi]") {
    MPIPoolExecutor executor(test::isolated());
    const auto late =
        executor.submit({.timeout = 100ms, .name = "the late one"}, run_for_ever);
    const auto asked =
        executor.submit({.timeout = 100ms, .grace = mp::forever}, run_until_asked);
    const auto in_time = executor.submit({.timeout = 1h}, twice, 21);
    CHECK_THROWS_AS(late.result(30s), TaskTimeout);
    CHECK_THROWS_WITH(late.result(), ContainsSubstring("the late one"));
    CHECK_THROWS_AS(asked.result(30s), TaskTimeout);
    CHECK(in_time.result(30s) == 42);
    const auto again = executor.submit({.timeout = 50ms, .retries = 1}, run_for_ever);
    CHECK_THROWS_AS(again.result(30s), TaskTimeout);
    CHECK(executor.statistics().retried == 1);
    auto items = executor.map(
        {.chunksize = 3, .task_timeout = 100ms},
        [](int x) {
            if (x == 2) {
                run_for_ever();
            }
            return x;
        },
        {1, 2, 3}
    );
    auto it = items.begin();
    CHECK(*it == 1);
    ++it;
    CHECK_THROWS_AS(*it, TaskTimeout);
    ++it;
    CHECK(*it == 3);
}

TEST_CASE(
    "MPIPoolExecutor: isolated, a limit of memory is one task's",
    "[mpi][no-asan][no-tsan]"
) {
    MPIPoolExecutor executor(test::isolated());
    const futures::SubmitOptions limited{.limits = {.memory = 64U << 20U}};
    const auto large = executor.submit(limited, take_memory, std::size_t{1} << 30U);
    const auto small = executor.submit(limited, take_memory, std::size_t{1} << 20U);
    CHECK_THROWS_AS(large.result(30s), mp::ResourceLimitExceeded);
    CHECK(small.result(30s) == std::size_t{1} << 20U);
}

TEST_CASE("MPIPoolExecutor: isolated, it has as many workers as it asks for", "[mpi]") {
    constexpr std::size_t workers = 2;
    MPIPoolExecutor executor(test::isolated(workers));
    const std::size_t all = workers * executor.num_workers();
    const Gate bell;
    const Gate gate;
    std::vector<Future<pid_t>> tasks;
    for (std::size_t i = 0; i < 2 * all; ++i) {
        tasks.push_back(executor.submit(ring_and_pass_pid, bell.path(), gate.path()));
    }
    CHECK(bell.wait_for(all));
    gate.open(tasks.size());
    std::set<pid_t> pids;
    for (const auto& task : tasks) {
        pids.insert(task.result(30s));
    }
    CHECK(pids.size() == all);
    for (const auto& rank : executor.statistics().ranks) {
        CHECK(!pids.contains(rank.pid));
    }
}

TEST_CASE("MPIPoolExecutor: isolated, workers take no part in the job", "[mpi]") {
    MPIPoolExecutor executor(test::isolated());
    CHECK(executor.submit(variables_of_mpi).result(30s).empty());
    // Whatever the launcher has bound the rank to.
    MPIPoolExecutor ranks;
    CHECK(
        executor.submit(allowed_processors).result(30s) >=
        ranks.submit(allowed_processors).result(30s)
    );
}

TEST_CASE("MPIPoolExecutor: isolated, the initializer runs in each worker", "[mpi]") {
    const Gate bell;
    auto options = test::isolated(2);
    options.initializer = mp::call(ring_and_set_state, bell.path());
    MPIPoolExecutor executor(options);
    executor.bootup();
    CHECK(bell.wait_for(2 * executor.num_workers()));
    CHECK(!bell.has_one());
    for (int i = 0; i < 10; ++i) {
        CHECK(executor.submit(get_state).result(30s) == "initialized");
    }
    // The worker that follows a lost one is initialised as well.
    expect_lost(executor.submit(die_of, SIGKILL));
    for (int i = 0; i < 10; ++i) {
        CHECK(executor.submit(get_state).result(30s) == "initialized");
    }
    // Nothing of it is left in the rank.
    MPIPoolExecutor ranks;
    CHECK(ranks.submit(get_state).result(30s) == "uninitialized");
}

TEST_CASE("MPIPoolExecutor: isolated, a failing initializer breaks it", "[mpi]") {
    auto options = test::isolated();
    options.initializer = mp::call(fail_to_initialise);
    MPIPoolExecutor executor(options);
    const auto future = executor.submit(twice, 1);
    CHECK_THROWS_AS(future.result(30s), BrokenMPIPool);
    CHECK_THAT(
        test::texts_of_throwing([&] { future.result(); }),
        ContainsSubstring("no such luck")
    );
    MPIPoolExecutor next(test::isolated());
    CHECK(next.submit(twice, 21).result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: isolated, what runs ends with a broken executor", "[mpi]") {
    if (test::serving() < 2) {
        return;
    }
    const test::TempTree tree;
    const Gate bell;
    const Gate gate;
    auto options = test::isolated();
    options.max_workers = 2;
    options.initializer = mp::call(initialise_first, tree / "first", gate.path());
    std::vector<Future<void>> tasks;
    {
        MPIPoolExecutor executor(options);
        for (int i = 0; i < 2; ++i) {
            tasks.push_back(executor.submit(ring_and_run_for_ever, bell.path()));
        }
        REQUIRE(bell.wait_for(1));
        gate.open(1);
        for (const auto& task : tasks) {
            CHECK_THROWS_AS(task.result(30s), BrokenMPIPool);
        }
    }
    MPIPoolExecutor next(test::isolated());
    CHECK(next.submit(twice, 21).result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: isolated and not, side by side", "[mpi]") {
    MPIPoolExecutor isolated(test::isolated());
    MPIPoolExecutor plain;
    std::vector<Future<int>> first;
    std::vector<Future<int>> second;
    for (int i = 0; i < 100; ++i) {
        first.push_back(isolated.submit(twice, i));
        second.push_back(plain.submit(twice, i));
    }
    expect_lost(isolated.submit(die_of, SIGSEGV));
    for (int i = 0; i < 100; ++i) {
        CHECK(first[static_cast<std::size_t>(i)].result(30s) == 2 * i);
        CHECK(second[static_cast<std::size_t>(i)].result(30s) == 2 * i);
    }
}
