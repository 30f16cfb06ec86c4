// SPDX-License-Identifier: BSL-1.0
// How a pool's workers end: finalizer, its time limit, and
// the objects of worker_local().
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <optional>
#include <set>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

using Told = mp::Queue<int>;

mp::Context each_method_but_fork() {
    return mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver)
    );
}

/// All that was put so far, by processes that have ended.
std::vector<int> all_of(Told& told) {
    std::vector<int> values;
    try {
        for (;;) {
            values.push_back(told.get(0s));
        }
    } catch (const mp::Empty&) {
        return values;
    }
}

int sum_of(Told& told) {
    int sum = 0;
    for (const int value : all_of(told)) {
        sum += value;
    }
    return sum;
}

void tell(Told told, int value) {
    told.put(value);
}

/// What the tasks of a worker add up.
struct Sum {
    int value = 0;
    int calls = 0;
};

int add(int value) {
    auto& sum = mp::worker_local<Sum>();
    sum.value += value;
    return ++sum.calls;
}

void tell_sum(Told told) {
    told.put(mp::worker_local<Sum>().value);
}

void set_sum(int value) {
    mp::worker_local<Sum>().value = value;
}

int sum_here() {
    return mp::worker_local<Sum>().value;
}

void fail(const std::string& text) {
    throw std::runtime_error(text);
}

void take_for_ever() {
    test::block_until_killed();
}

void nothing() {}

pid_t own_pid() {
    return getpid();
}

void die() {
    raise(SIGKILL);
}

/// Tells the order of its end.
struct Teller {
    std::optional<Told> told;
    int value = 0;

    Teller() = default;
    Teller(const Teller&) = delete;
    Teller& operator=(const Teller&) = delete;

    ~Teller() {
        if (told) {
            told->put(value);
        }
    }
};

struct Elder : Teller {};

struct Younger : Teller {};

void make_tellers(Told told) {
    auto& elder = mp::worker_local<Elder>();
    elder.told.emplace(told);
    elder.value = 3;
    auto& younger = mp::worker_local<Younger>();
    younger.told.emplace(told);
    younger.value = 2;
}

}  // namespace

TEST_CASE(
    "mpire::pool::exit.once_per_worker: each worker runs the finalizer once, behind "
    "its tasks",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto options = on(context, 3);
    options.initializer = mp::call(set_sum, 1000);
    options.finalizer = mp::call(tell_sum, told);
    std::uint64_t started = 0;
    int given = 0;
    {
        ProcessPoolExecutor pool(std::move(options));
        std::vector<futures::Future<int>> all;
        for (int i = 1; i <= 100; ++i) {
            all.push_back(pool.submit(add, i));
            given += i;
        }
        for (auto& future : all) {
            future.result();
        }
        CHECK(pool.submit(sum_here).result() >= 1000);
        started = pool.statistics().workers_started;
        pool.shutdown();
        CHECK(pool.statistics().finalizers_run == started);
    }
    const auto sums = all_of(told);
    CHECK(sums.size() == started);
    int sum = 0;
    for (const int one : sums) {
        sum += one;
    }
    CHECK(sum == given + 1000 * static_cast<int>(started));
}

TEST_CASE(
    "mpire::pool::exit.lifespan mpire::pool::init.lifespan: workers that end after one "
    "task run "
    "initializer and finalizer each, and are no loss",
    "[pool]"
) {
    const auto context = each_method_but_fork();
    Told begun;
    Told told;
    constexpr int tasks = 10;
    constexpr int workers = 2;
    auto options = on(context, workers);
    options.max_tasks_per_child = 1;
    options.initializer = mp::call(tell, begun, 1);
    options.finalizer = mp::call(tell_sum, told);
    futures::ProcessPoolStatistics statistics;
    {
        ProcessPoolExecutor pool(std::move(options));
        std::vector<futures::Future<int>> all;
        for (int i = 1; i <= tasks; ++i) {
            all.push_back(pool.submit(add, i));
        }
        for (auto& future : all) {
            CHECK(future.result() == 1);
        }
        pool.shutdown();
        statistics = pool.statistics();
    }
    const auto sums = all_of(told);
    CHECK(sums.size() == statistics.workers_started);
    CHECK(sums.size() >= tasks);
    CHECK(sums.size() <= tasks + workers);
    int sum = 0;
    for (const int one : sums) {
        sum += one;
    }
    CHECK(sum == tasks * (tasks + 1) / 2);
    CHECK(all_of(begun).size() == statistics.workers_started);
    CHECK(statistics.finalizers_run == statistics.workers_started);
    CHECK(statistics.workers_lost == 0);
}

TEST_CASE(
    "mpire::pool::exit.error_map: what a finalizer throws is logged, and the work "
    "stays "
    "done",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 2);
    options.finalizer = mp::call(fail, std::string("cannot disconnect"));
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(inc, 1).result() == 2);
    pool.shutdown();
    CHECK(pool.statistics().finalizers_run == pool.statistics().workers_started);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(log.text().find("cannot disconnect") != std::string::npos);
}

TEST_CASE(
    "mpire::pool::exit.not_after_kill: a worker that is killed runs no finalizer, the "
    "others do",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto options = on(context, 2, OnWorkerLoss::isolate);
    options.finalizer = mp::call(tell, told, 1);
    futures::ProcessPoolStatistics statistics;
    {
        ProcessPoolExecutor pool(std::move(options));
        CHECK_THROWS_AS(pool.submit(die).result(), futures::WorkerLost);
        CHECK_THROWS_AS(
            pool.submit({.timeout = 20ms}, take_for_ever).result(), futures::TaskTimeout
        );
        CHECK(pool.submit(inc, 1).result() == 2);
        pool.shutdown();
        statistics = pool.statistics();
    }
    CHECK(all_of(told).size() == statistics.workers_started - 2);
    CHECK(statistics.finalizers_run == statistics.workers_started - 2);
}

TEST_CASE("WorkerEnds: kill_workers() runs no finalizer", "[pool]") {
    const auto context = each_pool_start_method();
    Told told;
    auto options = on(context, 2);
    options.finalizer = mp::call(tell, told, 1);
    ProcessPoolExecutor pool(std::move(options));
    pool.submit(inc, 1).result();
    pool.kill_workers();
    pool.shutdown();
    CHECK(all_of(told).empty());
    CHECK(pool.statistics().finalizers_run == 0);
}

TEST_CASE(
    "mpire::pool::timeout.exit_exceeded: a worker whose finalizer takes too long is "
    "killed, and the end of the pool does not wait",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 2);
    options.finalizer = mp::call(take_for_ever);
    options.finalizer_timeout = 10ms;
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(inc, 1).result() == 2);
    pool.shutdown();
    CHECK(pool.statistics().finalizers_run == 0);
    CHECK(log.text().find("finalizer of worker") != std::string::npos);
    CHECK(log.text().find("0.01") != std::string::npos);
}

TEST_CASE(
    "billiard::pool_source::recycle_status: a worker that is recycled and whose "
    "finalizer hangs is replaced",
    "[pool]"
) {
    const auto context = each_method_but_fork();
    const test::LogCapture log;
    auto options = on(context, 1);
    options.max_tasks_per_child = 1;
    options.finalizer = mp::call(take_for_ever);
    options.finalizer_timeout = 10ms;
    ProcessPoolExecutor pool(std::move(options));
    std::set<pid_t> pids;
    for (int i = 0; i < 3; ++i) {
        pids.insert(pool.submit(own_pid).result());
    }
    CHECK(pids.size() == 3);
    pool.shutdown();
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "WorkerEnds: a worker that dies in its finalizer takes no task along", "[pool]"
) {
    const auto context = each_method_but_fork();
    const test::LogCapture log;
    auto options = on(context, 1);
    options.max_tasks_per_child = 1;
    options.finalizer = mp::call(die);
    ProcessPoolExecutor pool(std::move(options));
    for (int i = 0; i < 3; ++i) {
        CHECK(pool.submit(inc, i).result() == i + 1);
    }
    pool.shutdown();
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(log.text().find("in its finalizer") != std::string::npos);
}

TEST_CASE(
    "mpire::pool::worker_state.own mpire::pool::worker_state.sum: state never moves "
    "between workers",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    mp::worker_local<Sum>().value = -1'000'000;  // the parent's is its own
    Told told;
    auto options = on(context, 3);
    options.finalizer = mp::call(tell_sum, told);
    {
        ProcessPoolExecutor pool(std::move(options));
        std::vector<futures::Future<int>> all;
        for (int i = 0; i < 150; ++i) {
            all.push_back(pool.submit(add, 1));
        }
        for (auto& future : all) {
            CHECK(future.result() >= 1);
        }
    }
    CHECK(sum_of(told) == 150);
    CHECK(sum_here() == -1'000'000);
}

TEST_CASE(
    "WorkerEnds: objects of worker_local() are destroyed behind the finalizer, the "
    "youngest first",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    Told told;
    auto options = on(context, 1);
    options.initializer = mp::call(make_tellers, told);
    options.finalizer = mp::call(tell, told, 1);
    {
        ProcessPoolExecutor pool(std::move(options));
        pool.submit(nothing).result();
    }
    CHECK(all_of(told) == std::vector<int>{1, 2, 3});
}

TEST_CASE("WorkerEnds: limits of no more than 0 are refused", "[pool]") {
    futures::ProcessPoolOptions options;
    options.initializer_timeout = 0s;
    CHECK_THROWS_AS(
        ProcessPoolExecutor(futures::ProcessPoolOptions(options)), std::invalid_argument
    );
    options.initializer_timeout = 1s;
    options.finalizer_timeout = -1s;
    CHECK_THROWS_AS(
        ProcessPoolExecutor(futures::ProcessPoolOptions(options)), std::invalid_argument
    );
}
