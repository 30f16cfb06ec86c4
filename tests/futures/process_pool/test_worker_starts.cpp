// SPDX-License-Identifier: BSL-1.0
// How a pool's workers begin: the initializer, its time limit, and what it leaves for
// tasks.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdint>
#include <cstdlib>
#include <exception>
#include <random>
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

void tell(Told told, int value) {
    told.put(value);
}

struct Kept {
    int value = 0;
};

void set_sum(int value) {
    mp::worker_local<Kept>().value = value;
}

int sum_here() {
    return mp::worker_local<Kept>().value;
}

void fail(const std::string& text) {
    throw std::runtime_error(text);
}

void fail_in(const std::string& gate) {
    test::pass(gate);
    throw std::runtime_error("no database");
}

void take_for_ever() {
    test::block_until_killed();
}

void crash() {
    raise(SIGSEGV);
}

int read_standard_input() {
    return std::system("cat > /dev/null");
}

std::uint64_t random_number() {
    std::random_device device;
    return std::uint64_t{device()} << 32U | device();
}

std::string why_broken(futures::Future<int>& future) {
    try {
        future.result();
        return "it worked";
    } catch (const futures::BrokenProcessPool& error) {
        return error.what();
    }
}

}  // namespace

TEST_CASE(
    "mpire::pool::timeout.init_below: an initializer that ends in time is no error",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 3);
    auto options = on(context, workers);
    options.initializer = mp::call(set_sum, 7);
    options.initializer_timeout = 100s;
    ProcessPoolExecutor pool(std::move(options));
    for (int i = 0; i < 10; ++i) {
        CHECK(pool.submit(sum_here).result() == 7);
    }
}

TEST_CASE(
    "ray::test_failure_4::worker_start_timeout mpire::pool::timeout.init_exceeded: an "
    "initializer that takes too long breaks the pool, which says so",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 2, OnWorkerLoss::isolate);
    options.initializer = mp::call(take_for_ever);
    options.initializer_timeout = 30ms;
    ProcessPoolExecutor pool(std::move(options));
    auto future = pool.submit(inc, 1);
    const auto text = why_broken(future);
    CHECK(text.find("initializer of worker") != std::string::npos);
    CHECK(text.find("still alive") != std::string::npos);
    CHECK_THROWS_AS(pool.submit(inc, 1), futures::BrokenProcessPool);
    try {
        future.result();
    } catch (const futures::BrokenProcessPool& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), futures::TaskTimeout);
    }
}

TEST_CASE(
    "WorkerEnds: tasks run on under a limit for the initializer that has passed",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.initializer = mp::call(set_sum, 7);
    options.initializer_timeout = 20s;
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(sum_here).result() == 7);
    CHECK(pool.statistics().workers_started == 1);
}

TEST_CASE(
    "pebble::process_pool::broken_initializer mpire::pool::init.error_map: an "
    "initializer "
    "that throws breaks the pool for queued and later work, once",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    test::Gate gate;
    auto options = on(context, 1, OnWorkerLoss::isolate);
    options.initializer = mp::call(fail_in, gate.path());
    ProcessPoolExecutor pool(std::move(options));
    std::vector<futures::Future<int>> queued;
    for (int i = 0; i < 4; ++i) {
        queued.push_back(pool.submit(inc, i));
    }
    gate.open(1);
    for (auto& future : queued) {
        const auto text = why_broken(future);
        CHECK(text.find("no database") != std::string::npos);
    }
    CHECK_THROWS_AS(pool.submit(inc, 1), futures::BrokenProcessPool);
    pool.shutdown();
    CHECK(pool.statistics().workers_started == 1);
}

TEST_CASE(
    "dask::test_nanny::start_exception: an initializer that throws is tried once, and "
    "its error is logged once",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 1, OnWorkerLoss::isolate);
    options.initializer = mp::call(fail, std::string("no such database"));
    ProcessPoolExecutor pool(std::move(options));
    auto future = pool.submit(inc, 1);
    CHECK(why_broken(future).find("no such database") != std::string::npos);
    pool.shutdown();
    CHECK(pool.statistics().workers_started == 1);
    const auto text = log.text();
    const std::string once = "the initializer of a worker failed";
    const auto first = text.find(once);
    CHECK(first != std::string::npos);
    CHECK(text.find(once, first + 1) == std::string::npos);
}

TEST_CASE(
    "ray::test_exit_observability::init_failure_reason: the text of a failed "
    "initializer "
    "is in the error of each task",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 2);
    options.initializer = mp::call(fail, std::string("wrong password"));
    ProcessPoolExecutor pool(std::move(options));
    auto future = pool.submit(inc, 1);
    CHECK(why_broken(future).find("wrong password") != std::string::npos);
}

TEST_CASE(
    "pebble::process_pool::initializer mpire::pool::init.once_per_worker: what the "
    "initializer keeps, each task of its worker finds",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 3);
    Told begun;
    auto options = on(context, workers);
    options.initializer = mp::call(tell, begun, 1);
    std::uint64_t started = 0;
    {
        ProcessPoolExecutor pool(std::move(options));
        for (int round = 0; round < 3; ++round) {
            std::vector<futures::Future<int>> all;
            for (int i = 0; i < 10; ++i) {
                all.push_back(pool.submit(inc, i));
            }
            for (int i = 0; i < 10; ++i) {
                CHECK(all[static_cast<std::size_t>(i)].result() == i + 1);
            }
        }
        pool.shutdown();
        started = pool.statistics().workers_started;
    }
    CHECK(all_of(begun).size() == started);
    CHECK(started <= static_cast<std::uint64_t>(workers));
}

TEST_CASE(
    "pebble::process_pool::initializer_crash_orphans: an initializer that crashes "
    "leaves no task without an answer",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 1, OnWorkerLoss::isolate);
    options.initializer = mp::call(crash);
    ProcessPoolExecutor pool(std::move(options));
    auto future = pool.submit(inc, 1);
    CHECK(why_broken(future) != "it worked");
    CHECK_THROWS_AS(pool.submit(inc, 1), futures::BrokenProcessPool);
}

TEST_CASE(
    "loky::reusable_executor::stdin_in_worker: a task's program may read standard "
    "input",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(pool.submit(read_standard_input).result() == 0);
}

TEST_CASE(
    "dask::test_nanny::random_seed: two workers draw different random numbers", "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor first(on(context, 1));
    ProcessPoolExecutor second(on(context, 1));
    CHECK(
        first.submit(random_number).result() != second.submit(random_number).result()
    );
}

TEST_CASE(
    "loky::reusable_executor::worker_limit mpire::params::n_jobs: how many workers "
    "there "
    "may be",
    "[pool]"
) {
    CHECK_THROWS_AS(ProcessPoolExecutor(513), std::invalid_argument);
    CHECK_THROWS_AS(ProcessPoolExecutor(0), std::invalid_argument);
    CHECK(ProcessPoolExecutor(512).statistics().max_workers == 512);
    CHECK(ProcessPoolExecutor(3).statistics().max_workers == 3);
    CHECK(
        ProcessPoolExecutor().statistics().max_workers ==
        static_cast<std::size_t>(mp::usable_cpu_count())
    );
}

// ThreadSanitizer makes a fork of a vfork: what its child finds is lost.
TEST_CASE("bootup() after a start that failed tries again", "[pool][no-tsan]") {
    const test::LogCapture log;
    ProcessPoolExecutor pool(on(mp::get_context(mp::StartMethod::spawn), 2));
    pool.submit(inc, 1).result();
    mp::set_executable("/nowhere/at/all");
    CHECK_THROWS_AS(pool.bootup(), mp::SpawnError);
    CHECK_THROWS_AS(pool.bootup(), mp::SpawnError);
    mp::set_executable("");
    CHECK(pool.submit(inc, 1).result() == 2);
    pool.bootup();
    CHECK(pool.workers().size() == 2);
}
