// SPDX-License-Identifier: BSL-1.0
// Workers that go while tasks run, and what a task knows of its worker: behaviours of
// other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"
#include "mp/queue.hpp"
#include "mp/value.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <dlfcn.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <mutex>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

std::uint32_t attempt_behind(const std::string& bell, const std::string& gate) {
    ring_and_pass(bell, gate, 0);
    return futures::this_task().attempt();
}

std::uint32_t attempt_now() {
    return futures::this_task().attempt();
}

std::size_t index_behind(const std::string& bell, const std::string& gate) {
    ring_and_pass(bell, gate, 0);
    return futures::this_task().worker_index();
}

std::size_t index_now(int) {
    return futures::this_task().worker_index();
}

void die() {
    raise(SIGKILL);
}

int ring_and_block(const std::string& bell) {
    test::ring(bell);
    for (;;) {
        pause();
    }
}

/// Works from the second call on.
int fail_first(mp::Value<int> calls) {
    const std::scoped_lock held(calls);
    calls.set(calls.get() + 1);
    if (calls.get() == 1) {
        throw std::runtime_error("not ready");
    }
    return calls.get();
}

/// A pool of its own, which stays.
int keep_a_pool(int x) {
    static const auto kept = std::make_unique<ProcessPoolExecutor>(
        futures::ProcessPoolOptions{.max_workers = 2, .idle_timeout = 3600s}
    );
    return kept->submit(inc, x).result();
}

void put_ten_megabytes(mp::Queue<std::string> told) {
    told.put(std::string(10'000'000, 'x'));
}

int start_child_and_join(int x) {
    mp::Process child({.start_method = mp::StartMethod::fork}, [] {});
    child.start();
    child.join();
    return child.exitcode() == 0 ? x : -1;
}

/// In a pool of its own, which is closed.
int use_inner_pool(int x, int workers, futures::OnWorkerLoss loss) {
    ProcessPoolExecutor pool({.max_workers = workers, .on_worker_loss = loss});
    std::vector<int> numbers(13);
    std::iota(numbers.begin(), numbers.end(), x);
    int sum = 0;
    for (const int result : pool.map(inc, numbers)) {
        sum += result;
    }
    return sum;
}

int sum_of_inner(int x) {
    return 13 * (x + 1) + 78;
}

using Region = void (*)(void (*)(void*), void*, unsigned, unsigned);

/// What `#pragma omp parallel` calls, where that library is there.
Region parallel_region() {
    void* const library = dlopen("libgomp.so.1", RTLD_NOW | RTLD_LOCAL);
    return library == nullptr
               ? nullptr
               : reinterpret_cast<Region>(dlsym(library, "GOMP_parallel"));
}

void add_one(void* sum) {
    __atomic_add_fetch(static_cast<int*>(sum), 1, __ATOMIC_SEQ_CST);
}

int sum_of_threads(unsigned threads) {
    int sum = 0;
    parallel_region()(add_one, &sum, threads, 0);
    return sum;
}

}  // namespace

TEST_CASE(
    "dask::test_scheduler::retire_no_blame: resizing, recycling and cancelling others "
    "cost a task no attempt"
) {
    const Gate bell;
    const Gate gate;
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 3, OnWorkerLoss::isolate));
    std::vector<Future<std::uint32_t>> tasks;
    for (int i = 0; i < 2; ++i) {
        tasks.push_back(
            pool.submit({.retries = 1}, attempt_behind, bell.path(), gate.path())
        );
    }
    const auto other = pool.submit(ring_and_block, bell.path());
    REQUIRE(bell.wait_for(3));
    tasks.push_back(pool.submit({.retries = 1}, attempt_now));
    pool.resize(1);
    CHECK(other.cancel(futures::running));
    CHECK_THROWS_AS(other.result(60s), futures::CancelledError);
    gate.open(2);
    for (const auto& task : tasks) {
        CHECK(task.result(60s) == 1);
    }
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 0);

    if (context.get_start_method() != mp::StartMethod::fork) {
        auto options = on(context, 2, OnWorkerLoss::isolate);
        options.max_tasks_per_child = 1;
        ProcessPoolExecutor recycling(options);
        for (int i = 0; i < 10; ++i) {
            CHECK(recycling.submit({.retries = 1}, attempt_now).result(60s) == 1);
        }
    }
}

TEST_CASE(
    "dask::test_worker::close_while_executing: a worker that is too many does its task "
    "to the end, once, and nobody waits for it"
) {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    const auto one = pool.submit(attempt_behind, bell.path(), gate.path());
    const auto two =
        pool.submit({.retries = 3}, attempt_behind, bell.path(), gate.path());
    REQUIRE(bell.wait_for(2));
    pool.resize(1);
    CHECK_FALSE(one.done());
    CHECK_FALSE(two.done());
    gate.open(2);
    CHECK(one.result(60s) == 1);
    CHECK(two.result(60s) == 1);
    CHECK(test::soon([&] { return pool.workers().size() == 1; }));
    CHECK_FALSE(bell.has_one());
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "dask::test_client::retry_failed: who submits it again has the result, and so has "
    "what depends on that"
) {
    const mp::Value<int> calls(0);
    auto options = on(each_pool_start_method(), 1);
    options.shared = {calls};
    ProcessPoolExecutor pool(std::move(options));
    const auto failed = pool.submit(fail_first, calls);
    const auto dependent = pool.submit(inc, failed);
    CHECK_THROWS_AS(failed.result(60s), std::runtime_error);
    CHECK_THROWS_AS(dependent.result(60s), futures::DependencyError);
    const auto again = pool.submit(fail_first, calls);
    CHECK(pool.submit(inc, again).result(60s) == 3);
    CHECK(again.result(60s) == 2);
}

TEST_CASE(
    "mpire::pool::worker_id: each task sees a number below the number of workers, and "
    "who replaces a worker has its number"
) {
    const auto context = each_pool_start_method();
    for (const std::size_t workers : {std::size_t{1}, std::size_t{3}}) {
        ProcessPoolExecutor pool(
            on(context, static_cast<int>(workers), OnWorkerLoss::isolate)
        );
        for (int round = 0; round < 2; ++round) {
            const Gate bell;
            const Gate gate;
            std::vector<Future<std::size_t>> all;
            for (std::size_t i = 0; i < workers; ++i) {
                all.push_back(pool.submit(index_behind, bell.path(), gate.path()));
            }
            REQUIRE(bell.wait_for(workers));
            gate.open(workers);
            std::set<std::size_t> seen;
            for (const auto& one : all) {
                seen.insert(one.result(60s));
            }
            CHECK(seen.size() == workers);
            CHECK(*seen.rbegin() == workers - 1);
            CHECK_THROWS_AS(pool.submit(die).result(60s), WorkerLost);
        }
        for (const std::size_t index : pool.map(index_now, std::vector<int>(50))) {
            CHECK(index < workers);
        }
    }
}

TEST_CASE(
    "loky::reusable_executor::nested_reusable_exit: pools that workers keep, with "
    "workers that are idle for long, hold no program up"
) {
    const auto method = each_pool_start_method().get_start_method();
    mp::Process program(
        {.start_method = mp::StartMethod::fork},
        [](mp::StartMethod inner) {
            ProcessPoolExecutor pool(on(mp::get_context(inner), 2));
            std::vector<int> numbers(20);
            std::iota(numbers.begin(), numbers.end(), 0);
            if (pool.map(keep_a_pool, numbers).to_vector().back() != 20) {
                throw mp::SystemExit(3);
            }
        },
        method
    );
    program.start();
    program.join(30s);
    CHECK(program.exitcode() == 0);
}

TEST_CASE(
    "mpire::pool::exit.big_payload: finalizers that tell of ten megabytes each hold up "
    "nobody"
) {
    const auto context = each_pool_start_method();
    for (const bool recycles : {false, true}) {
        if (recycles && context.get_start_method() == mp::StartMethod::fork) {
            continue;
        }
        mp::Queue<std::string> told;
        auto options = on(context, 3);
        options.finalizer = mp::call(put_ten_megabytes, told);
        if (recycles) {
            options.max_tasks_per_child = 2;
        }
        ProcessPoolExecutor pool(std::move(options));
        pool.map(inc, {1, 2, 3, 4, 5, 6}).to_vector();
        pool.shutdown();
        const auto finalizers = pool.statistics().finalizers_run;
        CHECK(finalizers >= (recycles ? 3U : 1U));
        for (std::uint64_t i = 0; i < finalizers; ++i) {
            CHECK(told.get(60s).size() == 10'000'000);
        }
    }
}

TEST_CASE(
    "pebble::process_pool::child_process: a task starts a process, joins it and leaves "
    "none"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    CHECK(pool.submit(start_child_and_join, 1).result(60s) == 1);
}

TEST_CASE(
    "pebble::process_pool::child_pool pebble::process_pool::child_pebble: a task has a "
    "pool of its own, of either kind"
) {
    const auto context = each_pool_start_method();
    for (const auto loss : {OnWorkerLoss::break_pool, OnWorkerLoss::isolate}) {
        ProcessPoolExecutor pool(on(context, 1, loss));
        CHECK(pool.submit(use_inner_pool, 1, 1, loss).result(60s) == sum_of_inner(1));
    }
}

TEST_CASE("mpire::pool::daemon.nested_allowed: four workers with two of their own each"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 4));
    std::vector<Future<int>> all;
    for (int i = 0; i < 4; ++i) {
        all.push_back(pool.submit(use_inner_pool, i, 2, OnWorkerLoss::isolate));
    }
    for (int i = 0; i < 4; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == sum_of_inner(i));
    }
}

// A fork copies no thread: OpenMP's own are missing in the child, so fork is not for
// such libraries.
TEST_CASE(
    "loky::reusable_executor::openmp_no_freeze: a library with threads of its own "
    "works "
    "in the parent and in a worker",
    "[no-tsan]"
) {
    if (parallel_region() == nullptr) {
        WARN("left out: there is no libgomp here");
        return;
    }
    // That library's threads stay: not in this process.
    mp::Process program(
        {.start_method = mp::StartMethod::fork},
        [](mp::StartMethod inner) {
            bool right = sum_of_threads(2) == 2;
            ProcessPoolExecutor pool(on(mp::get_context(inner), 2));
            for (int i = 0; i < 4; ++i) {
                right = right && pool.submit(sum_of_threads, 2U).result(60s) == 2;
            }
            right = right && sum_of_threads(2) == 2;
            throw mp::SystemExit(right ? 0 : 3);
        },
        each_replacing_method().get_start_method()
    );
    program.start();
    program.join(60s);
    CHECK(program.exitcode() == 0);
}
