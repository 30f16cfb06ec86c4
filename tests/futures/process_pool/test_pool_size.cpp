// SPDX-License-Identifier: BSL-1.0
// How many workers a pool has: resize(), idle_timeout, min_workers, bootup().
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <set>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

/// A task that its test holds: it rings, waits, and tells who it was.
pid_t held(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    return getpid();
}

void meet(mp::Barrier barrier) {
    barrier.wait(30s);
}

void tell(mp::Queue<int> told) {
    told.put(1);
}

void fail() {
    throw std::runtime_error("no licence");
}

void die() {
    raise(SIGKILL);
}

std::set<pid_t> pids_of(const ProcessPoolExecutor& pool) {
    const auto pids = pool.workers();
    return {pids.begin(), pids.end()};
}

bool has_workers(const ProcessPoolExecutor& pool, std::size_t count) {
    return test::soon([&] { return pool.workers().size() == count; });
}

/// A task that is slow to encode.
struct Slow {
    int value = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            for (int i = 0; i < 2000; ++i) {
                std::this_thread::yield();
            }
        }
        archive& value;
    }
};

int value_of(const Slow& slow) {
    return slow.value;
}

}  // namespace

TEST_CASE(
    "loky::reusable_executor::resize billiard::pool_tests::did_start_ok: a surplus "
    "worker "
    "retires behind its task, and growing keeps the other",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    test::Gate bell;
    test::Gate gate;
    ProcessPoolExecutor pool(on(context, 2));
    pool.bootup();
    const auto before = pids_of(pool);
    REQUIRE(before.size() == 2);
    auto running = pool.submit(held, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    pool.resize(1);
    // The idle one goes.
    CHECK(has_workers(pool, 1));
    CHECK(pool.statistics().max_workers == 1);
    gate.open(1);
    const pid_t kept = running.result();
    CHECK(pids_of(pool) == std::set<pid_t>{kept});
    pool.resize(1);
    CHECK(pool.submit(getpid).result() == kept);
    pool.resize(2);
    pool.bootup();
    const auto after = pids_of(pool);
    CHECK(after.size() == 2);
    CHECK(after.count(kept) == 1);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(test::soon([&] { return pool.statistics().workers_retired == 1; }));
}

TEST_CASE(
    "billiard::pool_source::shrink_busy: when all are busy the surplus one does its "
    "task "
    "first",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    test::Gate bell;
    test::Gate gate;
    ProcessPoolExecutor pool(on(context, 3));
    std::vector<Future<pid_t>> running;
    for (int i = 0; i < 3; ++i) {
        running.push_back(pool.submit(held, bell.path(), gate.path()));
    }
    REQUIRE(bell.wait_for(3));
    pool.resize(1);
    auto queued = pool.submit(inc, 1);
    gate.open(3);
    std::set<pid_t> pids;
    for (auto& future : running) {
        pids.insert(future.result());
    }
    CHECK(pids.size() == 3);
    CHECK(queued.result() == 2);
    CHECK(has_workers(pool, 1));
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "billiard::pool_source::grow loky::reusable_executor::queue_size: more workers "
    "take "
    "the tasks that wait",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    mp::Barrier barrier(6);
    auto options = on(context, 1);
    options.shared = {barrier};
    ProcessPoolExecutor pool(std::move(options));
    std::vector<Future<void>> meeting;
    for (int i = 0; i < 6; ++i) {
        meeting.push_back(pool.submit(meet, barrier));
    }
    pool.resize(6);
    for (auto& future : meeting) {
        future.result();
    }
    CHECK(pool.workers().size() == 6);
}

TEST_CASE("PoolSize: a pool of one grows beyond what was reserved at first", "[pool]") {
    ProcessPoolExecutor pool(on(mp::get_context(mp::StartMethod::forkserver), 1));
    CHECK(pool.submit(inc, 1).result() == 2);
    pool.resize(70);
    pool.bootup();
    CHECK(pool.workers().size() == 70);
    std::vector<Future<int>> all;
    for (int i = 0; i < 1000; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    for (int i = 0; i < 1000; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result() == i + 1);
    }
    pool.resize(1);
    CHECK(has_workers(pool, 1));
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "loky::reusable_executor::resize_many_times: no size is too much for tasks that "
    "nobody waits for",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2));
    std::vector<Future<int>> all;
    for (const int size : {12, 2, 1, 12, 6, 1, 8, 5}) {
        pool.resize(size);
        for (int i = 0; i < 6; ++i) {
            all.push_back(pool.submit(inc, i));
        }
    }
    for (std::size_t i = 0; i < all.size(); ++i) {
        CHECK(all[i].result() == static_cast<int>(i % 6) + 1);
    }
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "loky::reusable_executor::kill_after_resize: a worker that dies after a shrink was "
    "asked for is replaced",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    pool.bootup();
    auto dead = pool.submit(die);
    pool.resize(1);
    CHECK_THROWS_AS(dead.result(), futures::WorkerLost);
    CHECK(pool.submit(inc, 41).result() == 42);
}

TEST_CASE(
    "loky::reusable_executor::submit_during_replacement: submitting while another "
    "thread "
    "resizes never fails",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2));
    std::atomic<bool> over{false};
    std::thread resizer([&] {
        for (int size = 1; !over; size = size % 4 + 1) {
            pool.resize(size);
            std::this_thread::yield();
        }
    });
    int wrong = 0;
    for (int i = 0; i < 500; ++i) {
        wrong += pool.submit(inc, i).result() != i + 1;
    }
    over = true;
    resizer.join();
    CHECK(wrong == 0);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "loky::reusable_executor::invalid_size: an impossible size is refused, and changes "
    "nothing",
    "[pool]"
) {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    for (const int size : {0, -1, 513}) {
        CHECK_THROWS_AS(pool.resize(size), std::invalid_argument);
    }
    CHECK(pool.statistics().max_workers == 2);
    CHECK(pool.submit(inc, 1).result() == 2);
    pool.shutdown();
    CHECK_THROWS_AS(pool.resize(1), mp::StateError);
    CHECK_THROWS_AS(pool.bootup(), mp::StateError);
}

TEST_CASE(
    "loky::process_executor::idle_timeout: "
    "idle "
    "workers end in order, and the next round works",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 4);
    options.idle_timeout = 10ms;
    ProcessPoolExecutor pool(std::move(options));
    const std::vector<int> items{0, 1, 2, 3, 4, 5, 6, 7};
    for (int round = 0; round < 5; ++round) {
        int expected = 1;
        for (const int result : pool.map(inc, items)) {
            CHECK(result == expected++);
        }
        CHECK(has_workers(pool, 0));
    }
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(test::soon([&] {
        const auto all = pool.statistics();
        return all.workers_retired == all.workers_started;
    }));
}

TEST_CASE(
    "ray::test_worker_capping::idle_keeps_core_size: min_workers stay", "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 3);
    options.idle_timeout = 1ms;
    options.min_workers = 1;
    ProcessPoolExecutor pool(std::move(options));
    pool.bootup();
    CHECK(has_workers(pool, 1));
    const auto kept = pids_of(pool);
    for (int i = 0; i < 3; ++i) {
        CHECK(kept.count(pool.submit(getpid).result()) == 1);
    }
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.max_workers = 2, .min_workers = 3}), std::invalid_argument
    );
    CHECK_THROWS_AS(ProcessPoolExecutor({.idle_timeout = 0s}), std::invalid_argument);
}

TEST_CASE(
    "loky::reusable_executor::resize_after_idle: a pool without live workers grows",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 2);
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(std::move(options));
    for (const int size : {2, 8, 2}) {
        pool.resize(size);
        CHECK(pool.submit(inc, 1).result() == 2);
        CHECK(has_workers(pool, 0));
    }
}

TEST_CASE(
    "loky::worker_timeout::slow_encoding loky::worker_timeout::delayed_results: tasks "
    "that "
    "come while workers leave are done",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const auto limit = GENERATE(1ms, 5ms);
    auto options = on(context, 2);
    options.idle_timeout = limit;
    ProcessPoolExecutor pool(std::move(options));
    for (int i = 0; i < 30; ++i) {
        CHECK(pool.submit(value_of, Slow{i}).result() == i);
    }
    std::vector<Future<int>> all;
    for (int i = 0; i < 200; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    for (int i = 0; i < 200; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result() == i + 1);
    }
}

TEST_CASE(
    "loky::worker_timeout::slow_encoding_at_shutdown: the last task is done though all "
    "workers have left",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 2);
    options.idle_timeout = 1ms;
    Future<int> last;
    {
        ProcessPoolExecutor pool(std::move(options));
        pool.submit(inc, 1).result();
        CHECK(has_workers(pool, 0));
        last = pool.submit(value_of, Slow{7});
    }
    CHECK(last.result() == 7);
}

TEST_CASE(
    "dask::test_scheduler::idle_timeout: the limit does not fire while a task runs",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    test::Gate bell;
    test::Gate gate;
    auto options = on(context, 2);
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(std::move(options));
    pool.bootup();
    auto running = pool.submit(held, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    CHECK(has_workers(pool, 1));
    gate.open(1);
    CHECK(running.result() > 0);
    CHECK(has_workers(pool, 0));
}

TEST_CASE(
    "billiard::pool_tests::did_start_ok: bootup() returns when all initializers have "
    "run",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    mp::Queue<int> told;
    auto options = on(context, 3);
    options.initializer = mp::call(tell, told);
    ProcessPoolExecutor pool(std::move(options));
    pool.bootup();
    CHECK(pool.workers().size() == 3);
    for (int i = 0; i < 3; ++i) {
        CHECK(told.get(0s) == 1);
    }
    pool.bootup();
    CHECK(pool.statistics().workers_started == 3);
}

TEST_CASE("PoolSize: bootup() throws what a failed start is to throw", "[pool]") {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    auto options = on(context, 2);
    options.initializer = mp::call(fail);
    ProcessPoolExecutor pool(std::move(options));
    CHECK_THROWS_WITH(pool.bootup(), test::ContainsSubstring("no licence"));
    auto elsewhere = on(context, 2);
    elsewhere.working_directory = "/nonexistent/folder";
    ProcessPoolExecutor nowhere(std::move(elsewhere));
    CHECK_THROWS_WITH(nowhere.bootup(), test::ContainsSubstring("/nonexistent/folder"));
}

TEST_CASE(
    "mpire::pool::keep_alive.on: several maps in a row use the same workers", "[pool]"
) {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 3);
    ProcessPoolExecutor pool(on(context, workers));
    pool.bootup();
    const auto before = pids_of(pool);
    const std::vector<int> items{0, 1, 2, 3, 4, 5, 6, 7, 8, 9};
    for (int round = 0; round < 3; ++round) {
        int expected = 1;
        for (const int result : pool.map({.chunksize = round + 1}, inc, items)) {
            CHECK(result == expected++);
        }
    }
    CHECK(pids_of(pool) == before);
    CHECK(pool.statistics().workers_started == static_cast<std::uint64_t>(workers));
}

TEST_CASE(
    "pebble::process_pool::future_limit: a worker with a budget of two tasks does two",
    "[pool]"
) {
    const auto context =
        mp::get_context(GENERATE(mp::StartMethod::spawn, mp::StartMethod::forkserver));
    auto options = on(context, 1);
    options.max_tasks_per_child = 2;
    ProcessPoolExecutor pool(std::move(options));
    std::vector<pid_t> pids;
    for (int i = 0; i < 4; ++i) {
        pids.push_back(pool.submit(getpid).result());
    }
    CHECK(pids[0] == pids[1]);
    CHECK(pids[2] == pids[3]);
    CHECK(pids[0] != pids[2]);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "loky::worker_timeout::delayed_results: an "
    "idle worker's end concerns no future",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 4);
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(std::move(options));
    const std::vector<int> items{0, 1, 2, 3, 4, 5, 6, 7};
    for (int round = 0; round < 5; ++round) {
        int expected = 1;
        for (const int result : pool.map(inc, items)) {
            std::this_thread::yield();
            CHECK(result == expected++);
        }
    }
    CHECK(has_workers(pool, 0));
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "ray::test_exit_observability::idle_exit: a worker that was idle is counted as "
    "retired, not as lost",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(inc, 1).result() == 2);
    CHECK(test::soon([&] { return pool.statistics().workers_retired == 1; }));
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 0);
}
