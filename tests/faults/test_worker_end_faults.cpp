// SPDX-License-Identifier: BSL-1.0
// A pool's worker is killed while it ends in order, or tells that it is idle. The
// library's sources are linked with their failpoints.
#include "futures/errors.hpp"
#include "futures/process_pool.hpp"
#include "mp/queue.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"

#include <signal.h>

#include <cstddef>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::inc;

namespace {

void tell_end(mp::Queue<int> told) {
    told.put(1);
}

futures::ProcessPoolOptions with_fork(int workers) {
    return test::on(
        mp::get_context(mp::StartMethod::fork), workers, OnWorkerLoss::isolate
    );
}

}  // namespace

TEST_CASE(
    "Worker ends: killed around the finalizer at the end of the pool", "[faults]"
) {
    const std::string point = GENERATE(
        as<std::string>(),
        "worker: before the finalizer",
        "worker: behind the finalizer"
    );
    const test::LogCapture log;
    mp::Queue<int> told;
    auto options = with_fork(2);
    options.finalizer = mp::call(tell_end, told);
    test::arm({point});
    ProcessPoolExecutor pool(std::move(options));
    for (int i = 0; i < 10; ++i) {
        CHECK(pool.submit(inc, i).result() == i + 1);
    }
    pool.shutdown();
    test::arm({});
    CHECK(pool.statistics().finalizers_run == 0);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE(
    "Worker ends: killed where a worker that retires has its finalizer", "[faults]"
) {
    const std::string point = GENERATE(
        as<std::string>(),
        "worker: before the finalizer",
        "worker: behind the finalizer"
    );
    const test::LogCapture log;
    mp::Queue<int> told;
    auto options = with_fork(2);
    options.finalizer = mp::call(tell_end, told);
    test::arm({point});
    ProcessPoolExecutor pool(std::move(options));
    pool.bootup();
    test::arm({});
    pool.resize(1);
    CHECK(test::soon([&] { return pool.workers().size() == 1; }));
    for (int i = 0; i < 10; ++i) {
        CHECK(pool.submit(inc, i).result() == i + 1);
    }
    CHECK(pool.statistics().tasks_lost == 0);
    CHECK(pool.statistics().finalizers_run == 0);  // it died there
}

TEST_CASE(
    "Worker ends: one that has only seen that it is to end stays where it is wanted "
    "again",
    "[faults]"
) {
    const test::LogCapture log;
    test::arm({.name = "worker: end seen", .sent = SIGSTOP});
    ProcessPoolExecutor pool(with_fork(2));
    pool.bootup();
    test::arm({});
    const auto before = pool.workers();
    pool.resize(1);
    pid_t stopped = 0;
    CHECK(test::soon([&] {
        for (const pid_t worker : before) {
            test::ProcStat stat;
            if (test::read_stat(worker, stat) && stat.state == 'T') {
                stopped = worker;
            }
        }
        return stopped != 0;
    }));
    pool.resize(2);
    // By its result the manager has seen the size.
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    pool.bootup();
    kill(stopped, SIGCONT);
    for (int i = 0; i < 20; ++i) {
        CHECK(pool.submit(inc, i).result(60s) == i + 1);
    }
    CHECK(pool.workers() == before);
    pool.shutdown();
    CHECK(pool.statistics().workers_started == 2);
}

TEST_CASE(
    "K9: a task that comes while a worker tells that it is idle is not lost", "[faults]"
) {
    const std::string point =
        GENERATE(as<std::string>(), "worker: before idle is told", "worker: idle told");
    const int workers = GENERATE(1, 2, 8);
    const test::LogCapture log;
    auto options = with_fork(workers);
    options.idle_timeout = 1ms;
    test::arm({.name = point, .sent = SIGSTOP});
    ProcessPoolExecutor pool(std::move(options));
    std::vector<futures::Future<int>> all;
    all.push_back(pool.submit(inc, 0));  // a worker may stop before it runs it
    // All of them stop there, sooner or later: nobody sees what comes now.
    std::vector<pid_t> stopped;
    CHECK(test::soon([&] {
        stopped.clear();
        for (const pid_t worker : pool.workers()) {
            test::ProcStat stat;
            if (test::read_stat(worker, stat) && stat.state == 'T') {
                stopped.push_back(worker);
            }
        }
        return stopped.size() == static_cast<std::size_t>(workers) ||
               pool.workers().empty();
    }));
    test::arm({});
    for (int i = 1; i < 10; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    for (const pid_t worker : stopped) {
        kill(worker, SIGCONT);
    }
    for (int i = 0; i < 10; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    CHECK(pool.statistics().tasks_lost == 0);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("Worker ends: killed while it tells that it is idle", "[faults]") {
    const std::string point =
        GENERATE(as<std::string>(), "worker: before idle is told", "worker: idle told");
    const test::LogCapture log;
    auto options = with_fork(2);
    options.idle_timeout = 1ms;
    test::arm({point});
    ProcessPoolExecutor pool(std::move(options));
    for (int round = 0; round < 4; ++round) {
        CHECK(pool.submit(inc, round).result() == round + 1);
        CHECK(test::soon([&] { return pool.workers().empty(); }));
        if (round == 2) {
            test::arm({});
        }
    }
    CHECK(pool.statistics().workers_lost >= 2);
    CHECK(pool.statistics().tasks_lost == 0);
}
