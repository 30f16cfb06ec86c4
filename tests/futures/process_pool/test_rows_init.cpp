// SPDX-License-Identifier: BSL-1.0
// Workers that begin: their initializer, their signals and streams, and what becomes of
// a pool whose workers cannot begin: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "futures/wait.hpp"
#include "mp/barrier.hpp"
#include "mp/value.hpp"

#include "ported/pool_tasks.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/program.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <filesystem>
#include <mutex>
#include <numeric>
#include <random>
#include <set>
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
using mp::StartMethod;
using test::Gate;
using test::inc;
using test::on;
using test::rows::commit;
using test::rows::Deed;
using test::tasks::each_replacing_method;

namespace {

int set_by_initializer = 0;

void set_in_worker(int value) {
    set_by_initializer = value;
}

int get_in_worker() {
    return set_by_initializer;
}

int get_in_worker_for(int) {
    return set_by_initializer;
}

void refuse_to_begin() {
    throw std::domain_error("no such database");
}

void refuse_and_count(mp::Value<int> count) {
    const std::scoped_lock held(count);
    count.set(count.get() + 1);
    throw std::domain_error("no such database");
}

void count_worker(mp::Value<int> count) {
    const std::scoped_lock held(count);
    count.set(count.get() + 1);
    set_by_initializer = 5;
}

void meet_and_count(mp::Barrier barrier, mp::Value<int> count) {
    count_worker(count);
    barrier.wait(60s);
}

/// What sh says about its standard input.
int read_all_input() {
    return std::system("cat > /dev/null");
}

std::vector<unsigned> draw_five() {
    std::random_device random;
    return {random(), random(), random(), random(), random()};
}

std::vector<unsigned> draw_and_meet(const std::string& bell, const std::string& gate) {
    auto drawn = draw_five();
    test::ring(bell);
    test::pass(gate);
    return drawn;
}

/// Of SIGTERM and SIGHUP: 'd'efault, 'i'gnored, or a 'h'andler.
std::string signals_of_worker() {
    std::string all;
    for (const int number : {SIGTERM, SIGHUP}) {
        struct sigaction action {};
        sigaction(number, nullptr, &action);
        all += action.sa_handler == SIG_DFL   ? 'd'
               : action.sa_handler == SIG_IGN ? 'i'
                                              : 'h';
    }
    return all;
}

void handle_nothing(int) {}

std::vector<int> up_to(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

/// It is broken, the initializer's exception is its cause.
template <class T>
void expect_initializer_failed(const Future<T>& future) {
    try {
        future.result(60s);
        FAIL_CHECK("no exception");
    } catch (const BrokenProcessPool& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring("no such database"));
        CHECK_THROWS_AS(std::rethrow_if_nested(error), std::domain_error);
    }
}

}  // namespace

TEST_CASE("pebble::process_pool::initializer: a task finds what it has left") {
    auto options = on(each_pool_start_method(), 1);
    options.initializer = mp::call(set_in_worker, 1);
    ProcessPoolExecutor pool(options);
    CHECK(pool.submit(get_in_worker).result(60s) == 1);
}

TEST_CASE(
    "pebble::process_pool::broken_initializer "
    "ray::test_exit_observability::init_failure_reason: what is queued fails with the "
    "initializer's error, and so does a later submit"
) {
    const test::LogCapture log;
    auto options = on(each_pool_start_method(), 1);
    options.initializer = mp::call(refuse_to_begin);
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> queued;
    try {
        for (int i = 0; i < 5; ++i) {
            queued.push_back(pool.submit(inc, i));
        }
    } catch (const BrokenProcessPool&) {
        CHECK(!queued.empty());  // the worker was quick
    }
    for (const auto& future : queued) {
        expect_initializer_failed(future);
    }
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
    CHECK_THROWS_WITH(pool.submit(inc, 1), test::ContainsSubstring("no such database"));
}

TEST_CASE(
    "pebble::process_pool::initializer_crash_orphans: the task ends, and workers are "
    "not started for ever"
) {
    const auto context = each_pool_start_method();
    const Deed deed = GENERATE(Deed::crash, Deed::exit_process);
    for (const auto loss : {OnWorkerLoss::break_pool, OnWorkerLoss::isolate}) {
        auto options = on(context, 1, loss);
        options.initializer = mp::call(commit, deed);
        ProcessPoolExecutor pool(options);
        const auto future = pool.submit(inc, 1);
        CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
        CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
        CHECK(pool.statistics().workers_started < 20);
    }
}

TEST_CASE("mpire::pool::init.once_per_worker: and before any task") {
    const auto context = each_pool_start_method();
    for (const int workers : {1, 3}) {
        const mp::Barrier barrier(workers);
        const mp::Value<int> count(0);
        auto options = on(context, workers);
        options.initializer = mp::call(meet_and_count, barrier, count);
        ProcessPoolExecutor pool(options);
        for (const int state : pool.map(get_in_worker_for, up_to(10))) {
            CHECK(state == 5);
        }
        CHECK(count.get() == workers);
    }
}

TEST_CASE("mpire::pool::init.lifespan: each worker that replaces one has its own") {
    const auto context = each_replacing_method();
    for (const int workers : {1, 3}) {
        const mp::Value<int> count(0);
        auto options = on(context, workers);
        options.max_tasks_per_child = 1;
        options.initializer = mp::call(count_worker, count);
        {
            ProcessPoolExecutor pool(options);
            for (const int state : pool.map(get_in_worker_for, up_to(10))) {
                CHECK(state == 5);
            }
        }
        CHECK(count.get() >= 10);
        CHECK(count.get() <= 10 + workers);
    }
}

TEST_CASE("mpire::pool::init.error_map: map() throws it, the pool ends in good order") {
    const test::LogCapture log;
    auto options = on(each_pool_start_method(), 4);
    options.initializer = mp::call(refuse_to_begin);
    ProcessPoolExecutor pool(options);
    try {
        auto results = pool.map(inc, up_to(20));
        CHECK_THROWS_AS(*results.begin(), BrokenProcessPool);
        CHECK_THROWS_WITH(
            results.to_vector(), test::ContainsSubstring("no such database")
        );
    } catch (const BrokenProcessPool& error) {
        // It was broken before the last item was submitted.
        CHECK_THAT(error.what(), test::ContainsSubstring("no such database"));
    }
    pool.shutdown();
    CHECK(pool.workers().empty());
}

TEST_CASE("dask::test_nanny::start_exception: is told once, and nothing starts again") {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    const mp::Value<int> count(0);
    auto options = on(context, 2, OnWorkerLoss::isolate);
    options.initializer = mp::call(refuse_and_count, count);
    ProcessPoolExecutor pool(options);
    const auto future = pool.submit(inc, 1);
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGTERM);  // as it begins, or when it has failed
    }
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
    pool.shutdown();
    CHECK(count.get() <= 20);
    CHECK(pool.statistics().workers_started <= 20);
}

TEST_CASE("loky::reusable_executor::stdin_in_worker: a program can read it") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    CHECK(pool.submit(read_all_input).result(60s) == 0);
}

TEST_CASE("dask::test_nanny::random_seed: two workers draw other numbers") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto one = pool.submit(draw_and_meet, bell.path(), gate.path());
    const auto two = pool.submit(draw_and_meet, bell.path(), gate.path());
    REQUIRE(bell.wait_for(2));
    gate.open(2);
    CHECK(one.result(60s) != two.result(60s));
}

// The program that the next case runs, with SIGHUP ignored.
TEST_CASE(
    "rows: the signals of workers of a program that a shell began", "[.program]"
) {
    const auto context = each_pool_start_method();
    struct sigaction before {};
    struct sigaction mine {};
    mine.sa_handler = handle_nothing;
    sigaction(SIGTERM, &mine, &before);
    {
        ProcessPoolExecutor pool(on(context, 1));
        CHECK(pool.submit(signals_of_worker).result(60s) == "di");
    }
    sigaction(SIGTERM, &before, nullptr);
}

TEST_CASE(
    "billiard::spawn_tests::reset_signals: what the parent handles is default in a "
    "worker, what it found ignored stays ignored"
) {
    const auto self = std::filesystem::read_symlink("/proc/self/exe");
    const auto ended = test::run(
        {"sh",
         "-c",
         "trap '' HUP; exec \"$0\" 'rows: the signals of workers of a program that a "
         "shell began'",
         self}
    );
    INFO(ended.out << ended.err);
    CHECK(ended.status == 0);
    CHECK_THAT(ended.out, test::ContainsSubstring("All tests passed"));
}

// A child that is forked beside threads cannot be followed.
TEST_CASE(
    "loky::process_executor::no_fork_with_threads: only a pool that forks warns",
    "[no-tsan]"
) {
    const auto method =
        GENERATE(StartMethod::fork, StartMethod::spawn, StartMethod::forkserver);
    const std::string text = test::stderr_of([&] {
        const Gate bell;
        const Gate gate;
        std::thread native([&] {
            test::ring(bell.path());
            test::pass(gate.path());
        });
        bell.wait_for(1);
        {
            ProcessPoolExecutor pool(on(mp::get_context(method), 2));
            pool.map(inc, up_to(10)).to_vector();
            pool.shutdown();
        }
        gate.open(1);
        native.join();
    });
    if (method == StartMethod::fork) {
        CHECK_THAT(text, test::ContainsSubstring("thread"));
    } else {
        CHECK(text.empty());
    }
}
