// SPDX-License-Identifier: BSL-1.0
// What SubmitOptions say to an MPIPoolExecutor: order, dependencies, names, and runs
// again.
#include "futures/mpi_pool.hpp"
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/thread_pool.hpp"
#include "futures/when.hpp"

#include "mpi/mpi_pools.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"

#include <chrono>
#include <cstdint>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::MPIPoolExecutor;
using test::ContainsSubstring;
using test::Gate;
using test::twice;

namespace {

int last_turn = 0;

/// In a rank: 1, 2, 3 ... in the order of the calls.
int take_turn() {
    return ++last_turn;
}

int forget_turns() {
    return last_turn = 0;
}

std::string own_name() {
    return futures::this_task().name();
}

/// Throws at each attempt but the last one, which it returns.
std::uint32_t succeed_at(std::uint32_t attempt) {
    const auto now = futures::this_task().attempt();
    if (now < attempt) {
        throw std::domain_error("attempt " + std::to_string(now));
    }
    return now;
}

/// In a rank: throws at each call but every third.
int third_time(int x) {
    static int calls = 0;
    if (++calls % 3 != 0) {
        throw std::domain_error("not yet");
    }
    return x;
}

/// As succeed_at(); tells of each attempt.
std::uint32_t ring_and_succeed_at(const std::string& bell, std::uint32_t attempt) {
    test::ring(bell);
    return succeed_at(attempt);
}

}  // namespace

TEST_CASE("MPIPoolExecutor: a higher priority is sent first", "[mpi]") {
    const Gate gate;
    MPIPoolExecutor executor(test::one_by_one());
    REQUIRE(executor.submit(forget_turns).result(30s) == 0);
    const auto blocked = executor.submit(test::pass, gate.path());
    // Sent before what has a priority, which else would pass it by.
    REQUIRE(test::soon([&] { return blocked.running(); }));
    const auto normal = executor.submit(take_turn);
    const auto low = executor.submit({.priority = -1}, take_turn);
    const auto high = executor.submit({.priority = 5}, take_turn);
    const auto late = executor.submit(take_turn);
    const auto highest = executor.submit({.priority = 7}, take_turn);
    const auto also_high = executor.submit({.priority = 5}, take_turn);
    auto mapped =
        executor.map({.priority = 6}, [](int) { return take_turn(); }, {0, 0});
    gate.open(1);
    CHECK(highest.result(30s) == 1);
    CHECK(mapped.to_vector() == std::vector{2, 3});
    CHECK(high.result(30s) == 4);
    CHECK(also_high.result(30s) == 5);
    CHECK(normal.result(30s) == 6);
    CHECK(late.result(30s) == 7);
    CHECK(low.result(30s) == 8);
}

TEST_CASE("MPIPoolExecutor: .after waits for futures of any executor", "[mpi]") {
    const Gate gate;
    const Gate bell;
    futures::ThreadPoolExecutor threads(1);
    futures::ProcessPoolExecutor processes(
        test::on(mp::get_context(mp::StartMethod::forkserver), 1)
    );
    MPIPoolExecutor other;
    MPIPoolExecutor executor;
    const Future<int> by_hand;
    const auto thread = threads.submit(test::pass, gate.path());
    const auto process = processes.submit(test::inc, 1);
    const auto rank = other.submit(twice, 1);
    const auto last = executor.submit(
        {.after = {by_hand, thread, process, rank}}, test::ring, bell.path()
    );
    CHECK(executor.submit(twice, 21).result(30s) == 42);
    rank.result(30s);
    process.result(30s);
    gate.open(1);
    thread.result(30s);
    CHECK(!last.done());
    CHECK(!bell.has_one());
    CHECK(executor.statistics().pending == 1);
    by_hand.set_result(1);
    last.result(30s);
    CHECK(bell.has_one());
}

TEST_CASE("MPIPoolExecutor: a task whose dependency fails is not run", "[mpi]") {
    const Gate bell;
    MPIPoolExecutor executor;
    const Future<int> failed;
    const Future<int> cancelled;
    const auto after_failed =
        executor.submit({.after = {failed}}, test::ring, bell.path());
    const auto after_cancelled =
        executor.submit({.after = {cancelled}}, test::ring, bell.path());
    const auto next =
        executor.submit({.after = {after_failed}}, test::ring, bell.path());
    failed.set_exception(std::domain_error("no such luck"));
    cancelled.cancel();
    CHECK_THROWS_AS(after_failed.result(30s), futures::DependencyError);
    CHECK_THROWS_AS(next.result(30s), futures::DependencyError);
    CHECK_THROWS_AS(after_cancelled.result(30s), futures::CancelledError);
    CHECK_THAT(
        test::texts_of_throwing([&] { next.result(); }),
        ContainsSubstring("no such luck")
    );
    executor.shutdown();
    CHECK(!bell.has_one());
}

TEST_CASE("MPIPoolExecutor: a future as an argument is its value", "[mpi]") {
    futures::ThreadPoolExecutor threads(1);
    MPIPoolExecutor executor;
    const Future<int> by_hand;
    const auto first = executor.submit(twice, threads.submit(twice, 1));
    const auto second = executor.submit(twice, first);
    const auto third = executor.submit(twice, by_hand);
    CHECK(second.result(30s) == 8);
    by_hand.set_result(3);
    CHECK(third.result(30s) == 6);
    CHECK(
        executor.map(twice, std::vector{first, second, third}).to_vector() ==
        std::vector{8, 16, 12}
    );
    // What follows may run in another executor, or in this one.
    CHECK(executor.submit(twice, 1).then(executor, twice).result(30s) == 4);
    CHECK(executor.submit(twice, 1).then(threads, twice).result(30s) == 4);
    CHECK(executor.submit(twice, 1).then(twice).result(30s) == 4);
    CHECK(
        futures::when_all(executor.submit(twice, 1), threads.submit(twice, 2))
            .result(30s) == std::tuple(2, 4)
    );
}

TEST_CASE("MPIPoolExecutor: a task knows its name", "[mpi]") {
    MPIPoolExecutor executor(test::each_isolation());
    CHECK(executor.submit({.name = "the first"}, own_name).result(30s) == "the first");
    CHECK_THAT(executor.submit(own_name).result(30s), ContainsSubstring("own_name"));
}

TEST_CASE("MPIPoolExecutor: a task is run again after what retry_on names", "[mpi]") {
    MPIPoolExecutor executor(test::each_isolation());
    const auto on_domain = futures::retry_on<std::domain_error>();
    const auto third =
        executor.submit({.retries = 3, .retry_on = on_domain}, succeed_at, 3);
    CHECK(third.result(30s) == 3);
    CHECK(executor.statistics().retried == 2);
    const auto never =
        executor.submit({.retries = 2, .retry_on = on_domain}, succeed_at, 9);
    CHECK_THROWS_WITH(never.result(30s), "attempt 3");
    CHECK_THROWS_AS(never.result(), std::domain_error);
    CHECK(executor.statistics().retried == 4);
    const auto other = executor.submit(
        {.retries = 2, .retry_on = futures::retry_on<std::out_of_range>()},
        succeed_at,
        2
    );
    CHECK_THROWS_WITH(other.result(30s), "attempt 1");
    // Without retry_on, what a task throws is its result.
    const auto plain = executor.submit({.retries = 2}, succeed_at, 2);
    CHECK_THROWS_WITH(plain.result(30s), "attempt 1");
}

TEST_CASE("MPIPoolExecutor: an item of a chunk is run again by itself", "[mpi]") {
    MPIPoolExecutor executor(test::in_one_rank(test::each_isolation()));
    const futures::MapOptions again{
        .chunksize = 2,
        .retries = 2,
        .retry_on = futures::retry_on<std::domain_error>()};
    CHECK(
        executor.map(again, third_time, {1, 2, 3}).to_vector() == std::vector{1, 2, 3}
    );
}

TEST_CASE("MPIPoolExecutor: a large call is there for the next attempt", "[mpi]") {
    MPIPoolExecutor executor(test::each_isolation());
    const auto sized = [](const std::string& text) {
        return text.size() * succeed_at(3);
    };
    const auto again = futures::retry_on<std::domain_error>();
    for (const std::size_t size : {0U, 4000U, 5000U, 1'000'000U}) {
        CHECK(
            executor
                .submit(
                    {.retries = 2, .retry_on = again}, sized, std::string(size, 'x')
                )
                .result(30s) == 3 * size
        );
    }
}

TEST_CASE("MPIPoolExecutor: between two attempts a task can be cancelled", "[mpi]") {
    const Gate bell;
    MPIPoolExecutor executor(test::one_by_one());
    const auto later = executor.submit(
        {.retries = 1,
         .retry_on = futures::retry_on<std::domain_error>(),
         .retry_delay = 1h},
        ring_and_succeed_at,
        bell.path(),
        2U
    );
    REQUIRE(bell.wait_for(1));
    REQUIRE(test::soon([&] { return executor.statistics().retried == 1; }));
    // Meanwhile others have its place.
    CHECK(executor.submit(twice, 21).result(30s) == 42);
    CHECK(!later.done());
    CHECK(later.cancel());
    CHECK(later.cancelled());
    const auto soon = executor.submit(
        {.retries = 1,
         .retry_on = futures::retry_on<std::domain_error>(),
         .retry_delay = 10ms},
        ring_and_succeed_at,
        bell.path(),
        2U
    );
    CHECK(soon.result(30s) == 2);
    executor.shutdown();
    CHECK(bell.wait_for(2));
    CHECK(!bell.has_one());
}

TEST_CASE("MPIPoolExecutor: what nobody could end has no limits", "[mpi]") {
    MPIPoolExecutor executor;
    const auto refused = [&](const futures::SubmitOptions& options, const char* name) {
        CHECK_THROWS_AS(executor.submit(options, twice, 1), std::invalid_argument);
        CHECK_THROWS_WITH(executor.submit(options, twice, 1), ContainsSubstring(name));
        CHECK_THROWS_WITH(
            executor.submit(options, twice, 1), ContainsSubstring("Isolation::process")
        );
    };
    refused({.timeout = 1h}, ".timeout");
    refused({.kill_after = 1s}, ".kill_after");
    refused({.limits = {.memory = 1U << 30U}}, ".limits");
    CHECK_THROWS_AS(
        executor.map({.task_timeout = 1h}, twice, {1, 2}).to_vector(),
        std::invalid_argument
    );
    CHECK_THROWS_AS(executor.submit({.timeout = 0s}, twice, 1), std::invalid_argument);
    CHECK(executor.submit(twice, 21).result(30s) == 42);
    CHECK(executor.statistics().submitted == 1);
}
