// SPDX-License-Identifier: BSL-1.0
// Results that are read slowly, in the order in which they come, or not in time. The
// cases: docs/faults.md.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using futures::ThreadPoolExecutor;
using test::Gate;
using test::inc;
using test::on;

namespace {

ProcessPoolOptions pool_to_read() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

std::vector<int> indices(int count) {
    std::vector<int> all(static_cast<std::size_t>(count));
    std::iota(all.begin(), all.end(), 0);
    return all;
}

/// The index, after a bell is rung.
struct Rings {
    std::string bell;

    int operator()(int index) const {
        test::ring(bell);
        return index;
    }
};

int ring_with(const std::string& bell, int index) {
    test::ring(bell);
    return index;
}

int pass_and_count(const std::string& gate) {
    test::pass(gate);
    return 1;
}

/// Kills its worker for each tenth index: always, or only the first time, of which it
/// leaves a mark in `folder`.
int die_at_tenths(int index, const std::string& folder) {
    if (index % 10 == 5) {
        const std::string mark = folder + "/" + std::to_string(index);
        const int fd = ::open(mark.c_str(), O_CREAT | O_EXCL | O_CLOEXEC, 0600);
        if (folder.empty() || fd >= 0) {
            raise(SIGKILL);
        }
    }
    return index;
}

/// How often each index came, the lost ones as well.
struct Seen {
    std::vector<int> values;
    std::vector<int> losses;
};

Seen go_through(const std::vector<Future<int>>& all) {
    Seen seen{std::vector<int>(all.size()), std::vector<int>(all.size())};
    for (const auto& done : futures::as_completed(all, 60s)) {
        const auto at = std::find(all.begin(), all.end(), done) - all.begin();
        const auto index = static_cast<std::size_t>(at);
        try {
            seen.values.at(static_cast<std::size_t>(done.result()))++;
        } catch (const futures::WorkerLost&) {
            seen.losses.at(index)++;
        }
    }
    return seen;
}

/// Reads one result after the other, and each time so many items have run, and no more.
template <class Results, class Concluded>
void read_slowly(
    Results results, const Gate& bell, std::size_t buffer, Concluded concluded
) {
    REQUIRE(bell.wait_for(buffer));
    std::uint64_t run = buffer;
    int expected = 0;
    for (auto it = results.begin(); expected < 10; ++it) {
        CHECK(test::soon([&] { return concluded() == run; }));
        CHECK_FALSE(bell.has_one());
        CHECK(*it == expected++);
        REQUIRE(bell.wait_for(1));
        ++run;
    }
}

}  // namespace

TEST_CASE("L4: results are read more slowly than workers make them", "[faults]") {
    const Gate bell;
    const int buffer = GENERATE(1, 4);
    SECTION("processes") {
        ProcessPoolExecutor pool(pool_to_read());
        const std::vector<std::string> bells(100, bell.path());
        read_slowly(
            pool.map({.buffersize = buffer}, ring_with, bells, indices(100)),
            bell,
            static_cast<std::size_t>(buffer),
            [&] {
                const auto statistics = pool.statistics();
                const bool all = statistics.submitted == statistics.concluded;
                return all ? statistics.concluded : 0;
            }
        );
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    SECTION("threads") {
        ThreadPoolExecutor pool(GENERATE(1, 8));
        read_slowly(
            pool.map({.buffersize = buffer}, Rings{bell.path()}, indices(100)),
            bell,
            static_cast<std::size_t>(buffer),
            [&] { return pool.statistics().begun; }
        );
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
}

TEST_CASE("L11: results in the order they come, while workers die", "[faults]") {
    ProcessPoolExecutor pool(pool_to_read());
    std::vector<Future<int>> all;
    all.reserve(40);
    SECTION("each index comes once, with a result or a loss") {
        for (int i = 0; i < 40; ++i) {
            all.push_back(pool.submit(die_at_tenths, i, ""));
        }
        const Seen seen = go_through(all);
        for (std::size_t i = 0; i < all.size(); ++i) {
            CHECK(seen.values[i] == (i % 10 == 5 ? 0 : 1));
            CHECK(seen.losses[i] == (i % 10 == 5 ? 1 : 0));
        }
    }
    SECTION("each index comes once, with its result, where tasks are run again") {
        const test::TempDir folder;
        const std::string path = folder.path();
        for (int i = 0; i < 40; ++i) {
            all.push_back(pool.submit({.retries = 1}, die_at_tenths, i, path));
        }
        const Seen seen = go_through(all);
        CHECK(seen.values == std::vector<int>(all.size(), 1));
        CHECK(seen.losses == std::vector<int>(all.size(), 0));
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("L12: a result is not there in time", "[faults]") {
    const Gate gate;
    ProcessPoolExecutor pool(pool_to_read());
    SECTION("what was waited for can be waited for again") {
        const auto held = pool.submit(test::pass, gate.path());
        CHECK_THROWS_AS(held.result(20ms), futures::TimeoutError);
        CHECK_THROWS_AS(held.exception(20ms), futures::TimeoutError);
        CHECK(futures::wait({held}, 20ms).not_done.size() == 1);
        auto in_time = futures::as_completed({held}, 20ms);
        CHECK_THROWS_AS(in_time.begin(), futures::TimeoutError);
        gate.open(1);
        held.result(60s);
        CHECK(*futures::as_completed({held}, 60s).begin() == held);
    }
    SECTION("as_completed() has given those that were done, and goes on anew") {
        const auto done = pool.submit(inc, 1);
        done.result(60s);
        const auto held = pool.submit(pass_and_count, gate.path());
        const std::vector<Future<int>> both{done, held};
        auto some = futures::as_completed(both, 20ms);
        auto it = some.begin();
        CHECK(*it == done);
        CHECK_THROWS_AS(++it, futures::TimeoutError);
        gate.open(1);
        std::size_t count = 0;
        for (const auto& one : futures::as_completed(both, 60s)) {
            CHECK(one.done());
            ++count;
        }
        CHECK(count == 2);
    }
    SECTION("map() is at its end, and its tasks that have not begun are cancelled") {
        const std::vector<std::string> gates(20, gate.path());
        auto results = pool.map({.timeout = 20ms}, test::pass, gates);
        auto it = results.begin();
        CHECK_THROWS_AS(*it, futures::TimeoutError);
        CHECK(it == results.end());
        CHECK(results.to_vector().empty());
        const auto cancelled = pool.statistics();
        gate.open(20);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
        CHECK(cancelled.submitted == 20);
        CHECK(cancelled.concluded >= 4);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}
