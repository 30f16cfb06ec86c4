// SPDX-License-Identifier: BSL-1.0
// What an MPIPoolExecutor tells of itself and its ranks; and what it is in a forked
// child, and once it was moved from.
#include "futures/mpi_pool.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <set>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MPIPoolExecutor;
using test::Gate;
using test::twice;

namespace {

std::pair<std::string, pid_t>
ring_and_tell(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    char name[256] = "";
    ::gethostname(name, sizeof name - 1);
    return {name, ::getpid()};
}

std::size_t size_of_text(const std::string& text) {
    return text.size();
}

/// Whether `call` throws mp::StateError.
template <class Call>
bool is_refused(Call call) {
    try {
        call();
    } catch (const mp::StateError&) {
        return true;
    }
    return false;
}

}  // namespace

TEST_CASE("MPIPoolExecutor: statistics() names the ranks", "[mpi]") {
    const Gate bell;
    const Gate gate;
    MPIPoolExecutor executor({.credits = 1});
    const std::size_t workers = executor.num_workers();
    const auto before = executor.statistics();
    CHECK(before.workers == workers);
    REQUIRE(before.ranks.size() == workers);
    CHECK(before.submitted == 0);
    std::set<int> numbers;
    std::set<std::pair<std::string, pid_t>> places;
    for (const auto& rank : before.ranks) {
        numbers.insert(rank.rank);
        places.emplace(rank.host, rank.pid);
        CHECK(rank.tasks == 0);
    }
    CHECK(numbers.size() == workers);
    CHECK(*numbers.begin() == (test::is_alone() ? 0 : 1));
    CHECK(places.contains({before.ranks.front().host, before.ranks.front().pid}));
    CHECK(places.size() == workers);

    std::vector<Future<std::pair<std::string, pid_t>>> all;
    for (std::size_t i = 0; i < workers + 3; ++i) {
        all.push_back(executor.submit(ring_and_tell, bell.path(), gate.path()));
    }
    REQUIRE(bell.wait_for(workers));  // one in each
    const auto during = executor.statistics();
    CHECK(during.submitted == workers + 3);
    CHECK(during.concluded == 0);
    CHECK(during.pending == 3);
    for (const auto& rank : during.ranks) {
        CHECK(rank.running == 1);
    }
    gate.open(workers + 3);
    std::set<std::pair<std::string, pid_t>> told;
    for (const auto& future : all) {
        told.insert(future.result(30s));
    }
    CHECK(told == places);
    executor.shutdown();
    const auto after = executor.statistics();
    CHECK(after.workers == 0);
    CHECK(after.concluded == workers + 3);
    CHECK(after.pending == 0);
    CHECK(after.retried == 0);
    CHECK(after.tasks_lost == 0);
    std::uint64_t tasks = 0;
    for (const auto& rank : after.ranks) {
        tasks += rank.tasks;
        CHECK(rank.tasks > 0);
        CHECK(rank.running == 0);
        CHECK(rank.busy > 0ns);
    }
    CHECK(tasks == workers + 3);
}

TEST_CASE("MPIPoolExecutor: statistics() counts bytes and chunks", "[mpi]") {
    MPIPoolExecutor executor;
    constexpr std::size_t size = 100'000;
    CHECK(executor.submit(size_of_text, std::string(size, 'x')).result(30s) == size);
    const auto sent = executor.statistics().bytes_sent;
    CHECK(sent >= size);
    CHECK(sent < 2 * size);
    CHECK(executor.statistics().bytes_received < size);
    executor.submit([](std::size_t n) { return std::string(n, 'x'); }, size)
        .result(30s);
    CHECK(executor.statistics().bytes_received >= size);
    CHECK(executor.statistics().bytes_sent < 2 * size);
    executor.map({.chunksize = 10}, twice, std::vector<int>(95)).to_vector();
    CHECK(executor.statistics().submitted == 2 + 10);
}

TEST_CASE("MPIPoolExecutor: isolated, statistics() counts the time in tasks", "[mpi]") {
    MPIPoolExecutor executor(test::isolated(2));
    std::vector<Future<int>> all;
    for (int i = 0; i < 20; ++i) {
        all.push_back(executor.submit(twice, i));
    }
    CHECK(futures::wait(all, 30s).not_done.empty());
    executor.shutdown();
    std::uint64_t tasks = 0;
    std::chrono::nanoseconds busy{};
    for (const auto& rank : executor.statistics().ranks) {
        tasks += rank.tasks;
        busy += rank.busy;
    }
    CHECK(tasks == 20);
    CHECK(busy > 0ns);
}

// A fork beside threads that hold locks of a sanitizer's hangs.
TEST_CASE(
    "MPIPoolExecutor: in a forked child it is an empty shell", "[mpi][no-tsan][no-asan]"
) {
    const Gate gate;
    MPIPoolExecutor executor(test::one_by_one());
    const auto pending = executor.submit(test::pass, gate.path());
    const auto queued = executor.submit(twice, 21);
    const int status = test::run_in_fork_for(30s, [&] {
        if (!is_refused([&] { executor.submit(twice, 1); })) {
            return 1;
        }
        if (!is_refused([&] { executor.bootup(); })) {
            return 2;
        }
        if (executor.num_workers() != 0) {
            return 3;
        }
        if (!is_refused([&] { queued.result(10s); })) {
            return 4;
        }
        if (!is_refused([] { const MPIPoolExecutor own; })) {
            return 5;
        }
        executor.shutdown();  // returns
        const MPIPoolExecutor moved(std::move(executor));
        return 0;  // and so does its end
    });
    CHECK(status == 0);
    gate.open(1);
    CHECK(queued.result(30s) == 42);
    CHECK(executor.submit(twice, 2).result(30s) == 4);
}

TEST_CASE("MPIPoolExecutor: what was moved from has no work", "[mpi]") {
    const Gate gate;
    MPIPoolExecutor first(test::one_by_one());
    const auto blocked = first.submit(test::pass, gate.path());
    auto results = first.map({.buffersize = 1}, twice, {1, 2, 3});
    MPIPoolExecutor second(std::move(first));
    // NOLINTBEGIN(bugprone-use-after-move): asked on purpose
    CHECK_THROWS_AS(first.submit(twice, 1), mp::StateError);
    CHECK_THROWS_AS(first.bootup(), mp::StateError);
    CHECK(first.statistics().ranks.empty());
    first.shutdown();
    // NOLINTEND(bugprone-use-after-move)
    gate.open(1);
    CHECK(results.to_vector() == std::vector{2, 4, 6});
    CHECK(second.submit(twice, 21).result(30s) == 42);
    first = MPIPoolExecutor();
    CHECK(first.submit(twice, 1).result(30s) == 2);
    second = std::move(first);  // ends what it was
    CHECK(second.submit(twice, 2).result(30s) == 4);
}
