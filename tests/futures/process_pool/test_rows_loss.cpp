// SPDX-License-Identifier: BSL-1.0
// Workers that die, wherever their task was, and large messages: behaviours of other
// pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/value.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <memory>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using futures::WorkerLost;
using mp::SerializationPhase;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::rows::Deed;
using test::rows::expect_lost;
using test::rows::expect_unserialised;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::each_replacing_method;
using test::tasks::multiply;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

using Text = std::string;

Text give_back(Text text) {
    return text;
}

/// A different megabyte for each number.
std::vector<std::uint32_t> megabyte_of(std::uint32_t number) {
    std::vector<std::uint32_t> values(std::size_t{1} << 18U);
    std::iota(values.begin(), values.end(), number * 1'000'003U);
    return values;
}

int exit_at_three(int x) {
    if (x == 3) {
        std::exit(0);
    }
    return x;
}

int die_at(int victim, int x) {
    if (x == victim) {
        raise(SIGKILL);
    }
    return x;
}

/// Says who it is, and waits, for the one number.
int wait_at_zero(
    mp::Value<int> who, const std::string& bell, const std::string& gate, int x
) {
    if (x == 0) {
        who.set(getpid());
        ring_and_pass(bell, gate, 0);
    }
    return x;
}

/// Takes its time when it is written.
struct SlowQuotient {
    int value = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            for (int i = 0; i < 100'000; ++i) {
                asm volatile("");
            }
        }
        archive& value;
    }
};

SlowQuotient divide_hundred_by(int x) {
    if (x == 0) {
        throw std::domain_error("division by zero");
    }
    return {100 / x};
}

int crash_behind(const std::string& bell, const std::string& gate) {
    ring_and_pass(bell, gate, 1);
    test::rows::commit(Deed::crash);
    return 1;
}

/// Are they all there? Then one is killed.
int kill_friend(const std::vector<pid_t>& friends, unsigned choice) {
    kill(friends[choice % friends.size()], SIGKILL);
    return 1;
}

int meet_here(const std::string& bell, const std::string& gate) {
    return ring_and_pass(bell, gate, getpid());
}

/// As many workers as there may be, all in a task at once; their pids.
std::vector<pid_t> all_together(ProcessPoolExecutor& pool, std::size_t workers) {
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> meeting;
    for (std::size_t i = 0; i < workers; ++i) {
        meeting.push_back(pool.submit(meet_here, bell.path(), gate.path()));
    }
    REQUIRE(bell.wait_for(workers));
    gate.open(workers);
    std::vector<pid_t> pids;
    for (const auto& future : meeting) {
        pids.push_back(future.result(60s));
    }
    return pids;
}

/// A parent that tells the pids of its workers, which wait, and what becomes of it.
template <class End>
std::vector<pid_t> workers_of_one_that(const mp::Context& context, End end) {
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const Gate bell;
    const Gate gate;
    const pid_t parent = test::fork_child([&] {
        ProcessPoolExecutor pool(on(context, 2));
        const auto one = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
        const auto two = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
        bell.wait_for(2);
        const auto workers = pool.workers();
        const std::size_t size = workers.size() * sizeof workers[0];
        const bool told =
            ::write(ends[1], workers.data(), size) == static_cast<ssize_t>(size);
        end();
        return told ? 0 : 1;
    });
    ::close(ends[1]);
    std::vector<pid_t> workers(2);
    CHECK(::read(ends[0], workers.data(), 2 * sizeof(pid_t)) == 2 * sizeof(pid_t));
    ::close(ends[0]);
    test::exit_status(parent);
    return workers;
}

int add_pair(const std::pair<int, int>& pair) {
    return pair.first + pair.second;
}

std::vector<int> hundred_numbers() {
    std::vector<int> numbers(100);
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

}  // namespace

TEST_CASE("pebble::process_pool::large_data: 107 megabytes go there and come back") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    Text text(107'000'000, 'a');
    text[50'000'000] = 'b';
    text.back() = 'c';
    CHECK(pool.submit(give_back, text).result(60s) == text);
}

TEST_CASE(
    "mpire::pool::all_maps.big_results: workers that are replaced lose no large result"
) {
    const auto context = each_replacing_method();
    for (const int lifespan : {1, 2}) {
        ProcessPoolOptions options = on(context, 2);
        options.max_tasks_per_child = lifespan;
        ProcessPoolExecutor pool(options);
        std::vector<std::uint32_t> numbers(13);
        std::iota(numbers.begin(), numbers.end(), 0U);
        std::uint32_t at = 0;
        for (const auto& result : pool.map(megabyte_of, numbers)) {
            CHECK(result == megabyte_of(at));
            ++at;
        }
        CHECK(at == 13);
    }
}

TEST_CASE("mpire::pool::defunct.exit: it is a loss, of that item only") {
    const auto context = each_replacing_method();
    for (const int lifespan : {0, 1, 3}) {
        ProcessPoolOptions options = on(context, 2, OnWorkerLoss::isolate);
        if (lifespan > 0) {
            options.max_tasks_per_child = lifespan;
        }
        ProcessPoolExecutor pool(options);
        auto results = pool.map(exit_at_three, {0, 1, 2, 3, 4, 5, 6, 7, 8, 9});
        int at = 0;
        for (auto it = results.begin(); it != results.end(); ++it, ++at) {
            if (at != 3) {
                CHECK(*it == at);
                continue;
            }
            try {
                static_cast<void>(*it);
                FAIL_CHECK("no exception");
            } catch (const WorkerLost& error) {
                CHECK(error.report().exit_code == 0);
            }
        }
        CHECK(at == 10);
    }
}

TEST_CASE(
    "mpire::pool::defunct.kill_map: a worker that is terminated from outside loses the "
    "item that it had"
) {
    const mp::Value<int> who(0);
    const Gate bell;
    const Gate gate;
    ProcessPoolOptions options = on(each_pool_start_method(), 2, OnWorkerLoss::isolate);
    options.shared = {who};
    ProcessPoolExecutor pool(options);
    auto results = pool.map(
        wait_at_zero,
        std::vector(100, who),
        std::vector(100, bell.path()),
        std::vector(100, gate.path()),
        hundred_numbers()
    );
    REQUIRE(bell.wait_for(1));
    REQUIRE(kill(who.get(), SIGTERM) == 0);
    auto it = results.begin();
    CHECK_THROWS_AS(*it, WorkerLost);
    ++it;
    for (int i = 1; i < 100; ++i, ++it) {
        CHECK(*it == i);
    }
    CHECK(it == results.end());
}

TEST_CASE(
    "mpire::pool::defunct.kill_apply: a worker that kills itself loses its own call, "
    "99 of 100 arrive"
) {
    const auto context = each_pool_start_method();
    for (const int workers : {1, 3}) {
        ProcessPoolExecutor pool(on(context, workers, OnWorkerLoss::isolate));
        std::vector<Future<int>> all;
        for (int i = 0; i < 100; ++i) {
            all.push_back(pool.submit(die_at, 17, i));
        }
        for (int i = 0; i < 100; ++i) {
            const auto& future = all[static_cast<std::size_t>(i)];
            if (i == 17) {
                CHECK(expect_lost(future).report().signal == SIGKILL);
            } else {
                CHECK(future.result(60s) == i);
            }
        }
    }
}

TEST_CASE(
    "mpire::pool::exception_flush: an error is sent completely before its worker ends"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 2);
    options.max_tasks_per_child = 5;
    ProcessPoolExecutor pool(options);
    auto results = pool.map({.buffersize = 10}, divide_hundred_by, hundred_numbers());
    auto it = results.begin();
    CHECK_THROWS_WITH(*it, "division by zero");
    ++it;
    for (int i = 1; i < 100; ++i, ++it) {
        CHECK((*it).value == 100 / i);
    }
    CHECK(it == results.end());
}

TEST_CASE(
    "loky::process_executor::crash_after_gc: a crash after the executor was dropped"
) {
    const auto context = each_pool_start_method();
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const Gate bell;
    const Gate gate;
    auto pool = std::make_unique<ProcessPoolExecutor>(on(context, 2, loss));
    const auto crashes = pool->submit(crash_behind, bell.path(), gate.path());
    std::vector<Future<int>> easy;
    for (int i = 0; i < 5; ++i) {
        easy.push_back(pool->submit(inc, i));
    }
    REQUIRE(bell.wait_for(1));
    const auto workers = pool->workers();
    pool->shutdown({.wait = false});
    std::thread dropping([&] { pool.reset(); });
    for (int i = 0; i < 5; ++i) {
        CHECK(easy[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    gate.open(1);
    CHECK(expect_lost(crashes).report().signal == SIGSEGV);
    dropping.join();
    CHECK(gone_within(workers, 5s));
}

TEST_CASE(
    "loky::reusable_executor::deadlock_kill: an idle worker that is killed breaks the "
    "pool, or is replaced"
) {
    const auto context = each_pool_start_method();
    {
        ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::isolate));
        const pid_t worker = pool.submit(pid).result(60s);
        kill(worker, SIGKILL);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    ProcessPoolExecutor pool(on(context, 1));
    const pid_t worker = pool.submit(pid).result(60s);
    kill(worker, SIGKILL);
    std::string text;
    while (text.empty()) {
        try {
            // Until the pool has heard of it.
            pool.submit(inc, 1).result(60s);
        } catch (const BrokenProcessPool& error) {
            text = error.what();
        }
    }
    CHECK_THAT(text, test::ContainsSubstring("SIGKILL"));
    ProcessPoolExecutor next(on(context, 1));
    CHECK(next.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("loky::reusable_executor::crash_races: workers that kill each other") {
    const auto context = each_pool_start_method();
    const std::size_t workers = GENERATE(1U, 2U, 5U, 13U);
    ProcessPoolExecutor pool(
        on(context, static_cast<int>(workers), OnWorkerLoss::isolate)
    );
    for (int round = 0; round < 2; ++round) {
        const auto friends = all_together(pool, workers);
        REQUIRE(friends.size() == workers);
        std::vector<Future<int>> all;
        for (unsigned i = 0; i < workers; ++i) {
            all.push_back(pool.submit(kill_friend, friends, i + 1));
        }
        for (const auto& future : all) {
            try {
                const int result = future.result(60s);
                CHECK(result == 1);
            } catch (const WorkerLost& error) {
                CHECK(error.report().signal == SIGKILL);
            }
        }
    }
    CHECK(all_together(pool, workers).size() == workers);
}

TEST_CASE(
    "loky::reusable_executor::queue_full_deadlock: a hundred that cannot be written, "
    "then a hundred good ones"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::vector<Future<int>> bad;
    std::vector<Future<int>> good;
    for (int i = 0; i < 100; ++i) {
        bad.push_back(pool.submit(take, Misbehaving{.when_written = Deed::throw_error})
        );
    }
    for (int i = 0; i < 100; ++i) {
        good.push_back(pool.submit(inc, i));
    }
    for (const auto& future : bad) {
        expect_unserialised(future, SerializationPhase::encode_task);
    }
    CHECK(good.back().result(60s) == 100);
}

TEST_CASE(
    "loky::reusable_executor::sigkill_of_parent: no worker outlives a program that is "
    "killed"
) {
    const auto workers =
        workers_of_one_that(each_pool_start_method(), [] { raise(SIGKILL); });
    CHECK(gone_within(workers, 1s));
}

TEST_CASE(
    "billiard::spawn_tests::pdeathsig: a worker outlives the thread that began it, not "
    "the program"
) {
    const auto context = each_pool_start_method();
    {
        const test::LogCapture log;  // a fork beside this thread
        ProcessPoolExecutor pool(on(context, 1));
        pid_t first = 0;
        std::thread([&] { first = pool.submit(pid).result(60s); }).join();
        CHECK(pool.submit(pid).result(60s) == first);
        CHECK(pool.statistics().workers_lost == 0);
    }
    const auto workers = workers_of_one_that(context, [] { raise(SIGTERM); });
    CHECK(gone_within(workers, 1s));
}

TEST_CASE(
    "dask::test_failed_workers::broken_worker_during_reduction: a tree of sums, with "
    "two kills"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::retry));
    std::vector<int> level(256);
    std::iota(level.begin(), level.end(), 0);
    while (level.size() > 1) {
        std::vector<std::pair<int, int>> pairs;
        for (std::size_t i = 0; i < level.size(); i += 2) {
            pairs.emplace_back(level[i], level[i + 1]);
        }
        auto sums = pool.map(add_pair, pairs);
        if (level.size() == 256 || level.size() == 32) {
            const auto workers = pool.workers();
            if (!workers.empty()) {
                kill(workers[0], SIGKILL);
            }
        }
        level = sums.to_vector();
    }
    CHECK(level.at(0) == 255 * 128);
}
