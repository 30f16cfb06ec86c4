// SPDX-License-Identifier: BSL-1.0
// Limits of tasks while processes are killed or stopped at each step of the protocol
// that tells of them (docs/protocols/kill_ladder.md).
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <string>

using namespace std::chrono_literals;
using futures::ProcessPoolExecutor;
using futures::TaskTimeout;

namespace {

futures::ProcessPoolOptions forked(int workers) {
    return {
        .max_workers = workers,
        .mp_context = mp::get_context(mp::StartMethod::fork),
        .on_worker_loss = futures::OnWorkerLoss::isolate};
}

void stay() {
    for (;;) {
        ::pause();
    }
}

int attempt_of_it() {
    return static_cast<int>(futures::this_task().attempt());
}

int one() {
    return 1;
}

int ring_at_once(const std::string& gate) {
    test::ring(gate);
    return 2;
}

const auto points = {
    "worker: before limit",
    "worker: limit half told",
    "worker: limit told",
    "worker: look wanted",
    "worker: rang for limit"};

}  // namespace

TEST_CASE(
    "I1: a worker that is killed while it tells of a limited task has not begun it",
    "[faults]"
) {
    for (const std::string point : points) {
        INFO(point);
        test::arm({point});
        ProcessPoolExecutor pool(forked(1));
        const auto first = pool.submit({.timeout = 60s}, attempt_of_it);
        test::arm({});  // the workers were forked
        CHECK(first.result() == 1);
        CHECK_THROWS_AS(pool.submit({.timeout = 20ms}, stay).result(), TaskTimeout);
        CHECK(pool.statistics().workers_lost == 1);
        CHECK(pool.statistics().tasks_given_back == 1);
    }
}

TEST_CASE(
    "I3: a worker that is stopped while it tells of a limited task is ended at the "
    "limit",
    "[faults]"
) {
    for (const std::string point : points) {
        INFO(point);
        test::arm({point, 1, SIGSTOP});
        ProcessPoolExecutor pool(forked(1));
        const auto late = pool.submit({.timeout = 20ms}, stay);
        test::arm({});
        CHECK_THROWS_AS(late.result(), TaskTimeout);
        CHECK(pool.submit(one).result() == 1);
        CHECK(pool.statistics().workers_lost == 0);
    }
}

TEST_CASE(
    "I17: a task that ended in time has its result, though the parent was stopped past "
    "the limit",
    "[faults]"
) {
    const test::Gate done;
    const pid_t parent = test::fork_child([&] {
        ProcessPoolExecutor pool(forked(1));
        pool.submit(one).result();
        const auto in_time = pool.submit({.timeout = 100ms}, ring_at_once, done.path());
        ::raise(SIGSTOP);
        return in_time.result();
    });
    REQUIRE(done.wait_for(1));
    for (const auto end = std::chrono::steady_clock::now() + 200ms;
         std::chrono::steady_clock::now() < end;) {
        ::sched_yield();
    }
    REQUIRE(::kill(parent, SIGCONT) == 0);
    CHECK(test::exit_status(parent) == 2);
}
