// SPDX-License-Identifier: BSL-1.0
// Isolated workers that are killed at each point of their lives, and ranks that stand
// still for a while: what they had is lost or late, and the executor goes on.
#include "futures/errors.hpp"
#include "futures/mpi_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/soon.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenMPIPool;
using futures::Future;
using futures::MPIPoolExecutor;
using futures::MPIPoolOptions;
using test::Gate;
using test::twice;
using test::rows::expect_lost;

namespace {

MPIPoolOptions one_worker() {
    return test::in_one_rank(test::isolated());
}

pid_t own_pid() {
    return ::getpid();
}

void kill_and_watch(pid_t pid) {
    REQUIRE(::kill(pid, SIGKILL) == 0);
    REQUIRE(test::soon([&] { return test::is_gone(pid); }));
}

pid_t parent_pid() {
    return ::getppid();
}

enum class Stay { nowhere, being_written, being_read };

/// Rings, and goes no further, in the midst of its way.
struct Baggage {
    std::vector<char> first;
    std::string bell;
    Stay stay = Stay::nowhere;
    std::vector<char> second;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& first& bell& stay;
        if (stay ==
            (Archive::is_saving::value ? Stay::being_written : Stay::being_read)) {
            test::ring(bell);
            for (;;) {
                ::pause();
            }
        }
        archive& second;
    }
};

constexpr std::size_t half = std::size_t{32} << 20U;

Baggage baggage(Stay stay, const std::string& bell) {
    return {std::vector<char>(half), bell, stay, std::vector<char>(half)};
}

std::size_t size_of(const Baggage& taken) {
    return taken.first.size() + taken.second.size();
}

Baggage give_halting(const std::string& bell) {
    return baggage(Stay::being_written, bell);
}

void die() {
    ::raise(SIGKILL);
}

bool is_stopped(pid_t pid) {
    test::ProcStat stat;
    return test::read_stat(pid, stat) && stat.state == 'T';
}

}  // namespace

TEST_CASE(
    "MPIPoolExecutor: a worker that is killed while idle costs nothing", "[mpi]"
) {
    MPIPoolExecutor executor(one_worker());
    for (int i = 0; i < 10; ++i) {
        const pid_t pid = executor.submit(own_pid).result(30s);
        kill_and_watch(pid);
        CHECK(executor.submit(own_pid).result(30s) != pid);
    }
    CHECK(executor.statistics().tasks_lost == 0);
}

TEST_CASE(
    "MPIPoolExecutor: a worker that is killed while it takes or gives 64 MiB loses "
    "that "
    "task",
    "[mpi]"
) {
    MPIPoolExecutor executor(one_worker());
    const Gate bell;
    const pid_t first = executor.submit(own_pid).result(30s);
    const auto taken = executor.submit(size_of, baggage(Stay::being_read, bell.path()));
    REQUIRE(bell.wait_for(1));
    kill_and_watch(first);
    expect_lost(taken);
    const pid_t second = executor.submit(own_pid).result(30s);
    const auto given = executor.submit(give_halting, bell.path());
    REQUIRE(bell.wait_for(1));
    kill_and_watch(second);
    expect_lost(given);
    CHECK(executor.submit(size_of, baggage(Stay::nowhere, "")).result(30s) == 2 * half);
    CHECK(executor.statistics().tasks_lost == 2);
}

TEST_CASE("MPIPoolExecutor: a worker that is killed as it starts breaks it", "[mpi]") {
    MPIPoolOptions options = one_worker();
    options.initializer = mp::call(die);
    {
        MPIPoolExecutor executor(options);
        CHECK_THROWS_AS(executor.submit(twice, 1).result(30s), BrokenMPIPool);
    }
    MPIPoolExecutor next(one_worker());
    CHECK(next.submit(twice, 21).result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: what forks the workers of a rank is killed", "[mpi]") {
    MPIPoolExecutor executor(one_worker());
    const pid_t pid = executor.submit(own_pid).result(30s);
    kill_and_watch(executor.submit(parent_pid).result(30s));
    ::kill(pid, SIGKILL);
    REQUIRE(test::soon([&] { return test::is_gone(pid); }));
    CHECK(executor.submit(twice, 21).result(30s) == 42);
    MPIPoolExecutor next(one_worker());
    CHECK(next.submit(twice, 21).result(30s) == 42);
}

TEST_CASE("MPIPoolExecutor: a rank that stands still delays what it has", "[mpi]") {
    MPIPoolExecutor executor({.credits = 1});
    if (executor.num_workers() < 2) {
        return;
    }
    executor.bootup();
    const pid_t pid = executor.statistics().ranks.front().pid;
    REQUIRE(::kill(pid, SIGSTOP) == 0);
    REQUIRE(test::soon([&] { return is_stopped(pid); }));
    std::vector<Future<int>> tasks;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(executor.submit(twice, i));
    }
    const auto done = [&] {
        return std::count_if(tasks.begin(), tasks.end(), [](const auto& task) {
            return task.done();
        });
    };
    CHECK(test::soon([&] { return done() == 99; }));
    REQUIRE(::kill(pid, SIGCONT) == 0);
    for (int i = 0; i < 100; ++i) {
        CHECK(tasks[static_cast<std::size_t>(i)].result(30s) == 2 * i);
    }
}
