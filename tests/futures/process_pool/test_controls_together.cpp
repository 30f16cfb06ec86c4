// SPDX-License-Identifier: BSL-1.0
// Options of a task that meet: limits of time with retries, dependencies with limits,
// priorities with resize(), reset() with all that a pool may have.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/wait.hpp"
#include "mp/errors.hpp"
#include "mp/units.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::CancelledError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::retry_on;
using futures::TaskTimeout;
using futures::WorkerLost;
using test::Gate;
using test::inc;
using test::on;

namespace {

struct TogetherError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const bool together_error_is_known = (mp::register_exception<TogetherError>(), true);

unsigned attempt_now() {
    return futures::this_task().attempt();
}

/// Checks for ever in its first `late` attempts; then tells which attempt it is.
unsigned check_in_attempts(unsigned late) {
    while (attempt_now() <= late) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
    return attempt_now();
}

unsigned sleep_in_attempts(unsigned late) {
    while (attempt_now() <= late) {
        ::pause();
    }
    return attempt_now();
}

unsigned throw_in_attempts(unsigned bad) {
    if (attempt_now() <= bad) {
        throw TogetherError("attempt " + std::to_string(attempt_now()));
    }
    return attempt_now();
}

/// Another failure each time: it throws, is late and ends softly, is late and does not,
/// kills its worker; then it tells which attempt it is.
unsigned fail_in_all_ways() {
    switch (attempt_now()) {
    case 1:
        throw TogetherError("first");
    case 2:
        return check_in_attempts(2);
    case 3:
        return sleep_in_attempts(3);
    case 4:
        raise(SIGKILL);
        break;
    default:
        break;
    }
    return attempt_now();
}

unsigned ring_and_attempt(const std::string& begun) {
    test::ring(begun);
    return check_in_attempts(1000);
}

unsigned add_one(unsigned value) {
    return value + 1;
}

unsigned two_attempts() {
    return 2;
}

std::string name_with(int value) {
    return futures::this_task().name() + " " + std::to_string(value) + " " +
           (futures::this_task().deadline().is_forever() ? "for ever" : "limited");
}

std::size_t take_memory(int mebibytes) {
    const std::vector<char> memory(static_cast<std::size_t>(mebibytes) * mp::MiB, 'x');
    return memory.size();
}

int pause_for_ever(int /*value*/) {
    for (;;) {
        ::pause();
    }
}

void die_in_pool() {
    raise(SIGKILL);
}

int pass_gate_of(const std::string& gate, int value) {
    test::pass(gate);
    return value;
}

void print_and_die() {
    static_cast<void>(::write(STDERR_FILENO, "my last words\n", 14));
    ::_exit(3);
}

}  // namespace

// ---- limits of time, and retries

TEST_CASE("A task that ends softly when its time is up is run again", "[pool]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    pool.submit(attempt_now).result();
    const futures::SubmitOptions soft{.timeout = 50ms, .grace = 60s, .retries = 2};
    CHECK(pool.submit(soft, check_in_attempts, 2U).result() == 3);
    CHECK_THROWS_AS(pool.submit(soft, check_in_attempts, 3U).result(), TaskTimeout);
    // One that has no retries, or only of exceptions that a timeout is not.
    CHECK_THROWS_AS(
        pool.submit({.timeout = 50ms, .grace = 60s}, check_in_attempts, 1U).result(),
        TaskTimeout
    );
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("A task has one budget for all its failures", "[pool]") {
    auto options = on(each_pool_start_method(), 1, OnWorkerLoss::isolate);
    ProcessPoolExecutor pool(options);
    pool.submit(attempt_now).result();
    futures::SubmitOptions task{
        .timeout = 200ms,
        .grace = 100ms,
        .retries = 4,
        .retry_on = retry_on<TogetherError>(),
        .retry_delay = 1ms};
    CHECK(pool.submit(task, fail_in_all_ways).result() == 5);
    task.retries = 3;
    try {
        pool.submit(task, fail_in_all_ways).result();
        FAIL("it had no budget for the last failure");
    } catch (const WorkerLost& lost) {
        CHECK(lost.attempts() == 4);
        CHECK(lost.report().attempt == 4);
        CHECK_FALSE(lost.is_poison());
    }
    task.retries = 2;
    CHECK_THROWS_AS(pool.submit(task, fail_in_all_ways).result(), TaskTimeout);
    task.retries = 1;
    CHECK_THROWS_AS(pool.submit(task, fail_in_all_ways).result(), TaskTimeout);
    task.retries = 0;
    CHECK_THROWS_AS(pool.submit(task, fail_in_all_ways).result(), TogetherError);
}

TEST_CASE("A task that is cancelled while it runs is not run again", "[pool]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1, OnWorkerLoss::retry));
    const Gate begun;
    for (const bool softly : {true, false}) {
        futures::SubmitOptions task{
            .retries = 5, .retry_on = retry_on<std::exception>(), .retry_delay = 1ms};
        task.grace = softly ? 60s : 0s;
        const auto runs = pool.submit(task, ring_and_attempt, begun.path());
        REQUIRE(begun.wait_for(1));
        CHECK(runs.cancel(futures::running));
        CHECK_THROWS_AS(runs.result(), CancelledError);
        CHECK(pool.submit(inc, 1).result() == 2);
        CHECK_FALSE(begun.has_one());
    }
}

TEST_CASE("Cancelling at any moment of a task that is retried", "[pool]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
    for (int i = 0; i < 200; ++i) {
        futures::SubmitOptions task{
            .retries = 1000, .retry_on = retry_on<TogetherError>()};
        if (i % 2 == 0) {
            task.retry_delay = std::chrono::microseconds(i);
        }
        const auto future = pool.submit(task, throw_in_attempts, 1000000U);
        if (i % 3 == 0) {
            std::this_thread::yield();
        }
        const bool cancelled = future.cancel(futures::running);
        while (!future.done()) {
            std::this_thread::yield();
        }
        CHECK(cancelled == future.cancelled());
    }
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE("Items of a map have limits and retries", "[pool]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
    const std::vector<unsigned> late{0, 1, 0, 2, 0};
    CHECK(
        pool.map(
                {.chunksize = 3, .task_timeout = 200ms, .retries = 2},
                sleep_in_attempts,
                late
        )
            .to_vector() == std::vector<unsigned>{1, 2, 1, 3, 1}
    );
}

TEST_CASE(
    "No worker is kept, or started, for a task that waits for its time", "[pool]"
) {
    auto options = on(quick_pool_context(), 2);
    options.idle_timeout = 50ms;
    ProcessPoolExecutor pool(options);
    const auto delayed = pool.submit(
        {.retries = 1, .retry_on = retry_on<TogetherError>(), .retry_delay = 1h},
        throw_in_attempts,
        1U
    );
    while (pool.statistics().workers_retired == 0 || !pool.workers().empty()) {
        std::this_thread::yield();
    }
    CHECK(pool.submit(inc, 1).result() == 2);
    CHECK(delayed.cancel());
    CHECK(pool.statistics().workers_started <= 4);
}

// ---- dependencies

TEST_CASE("Options hold for a task whose arguments are futures", "[pool]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    const auto three = pool.submit(inc, 2);
    CHECK(
        pool.submit({.timeout = 60s, .name = "the name"}, name_with, three).result() ==
        "the name 3 limited"
    );
    CHECK_THROWS_AS(
        pool.submit({.timeout = 50ms}, pause_for_ever, three).result(), TaskTimeout
    );
    CHECK_THROWS_AS(
        pool.submit({.timeout = 0s}, pause_for_ever, three), std::invalid_argument
    );
    const auto bad = pool.submit(two_attempts);
    CHECK(
        pool.submit(
                {.retries = 2, .retry_on = retry_on<TogetherError>(), .after = {three}},
                throw_in_attempts,
                bad
        )
            .result() == 3
    );
}

TEST_CASE(
    "A limit holds for a task whose arguments are futures", "[pool][no-asan][no-tsan]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    CHECK_THROWS_AS(
        pool.submit(
                {.limits = {.memory = 8 * mp::MiB}}, take_memory, pool.submit(inc, 99)
        )
            .result(),
        mp::ResourceLimitExceeded
    );
}

TEST_CASE("A task of a delayed retry keeps those waiting that depend on it", "[pool]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    const auto base = pool.submit(
        {.retries = 3, .retry_on = retry_on<TogetherError>(), .retry_delay = 10ms},
        throw_in_attempts,
        3U
    );
    const auto dependent = pool.submit({.priority = 1}, add_one, base);
    CHECK(dependent.result() == 5);
}

// ---- priorities and the number of workers

TEST_CASE("Tasks with priorities use the workers that resize() adds", "[pool]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    const Gate gate;
    std::vector<Future<int>> waiting;
    for (int i = 0; i < 8; ++i) {
        waiting.push_back(pool.submit({.priority = i}, pass_gate_of, gate.path(), i));
    }
    pool.resize(4);
    futures::Future<int> other = pool.submit({.priority = 9}, inc, 1);
    gate.open(8);
    for (int i = 0; i < 8; ++i) {
        CHECK(waiting[static_cast<std::size_t>(i)].result() == i);
    }
    CHECK(other.result() == 2);
}

// ---- reset()

TEST_CASE("reset: dependencies, limits, output and sizes work as before", "[pool]") {
    auto options = on(each_pool_start_method(), 2);
    options.capture_output = true;
    ProcessPoolExecutor pool(options);
    for (int round = 0; round < 3; ++round) {
        CAPTURE(round);
        CHECK_THROWS_AS(
            pool.submit({.timeout = 20ms}, pause_for_ever, 1).result(), TaskTimeout
        );
        const Future<int> by_hand;
        const auto waits = pool.submit(inc, by_hand);
        CHECK_THROWS_AS(pool.submit(die_in_pool).result(), BrokenProcessPool);
        CHECK_THROWS_AS(waits.result(), BrokenProcessPool);
        CHECK_THROWS_AS(pool.submit(inc, pool.submit(inc, 1)), BrokenProcessPool);
        pool.reset();
        CHECK(pool.submit(inc, pool.submit(inc, 1)).result() == 3);
        pool.resize(round % 2 == 0 ? 3 : 1);
        pool.bootup();
        CHECK(pool.workers().size() >= (round % 2 == 0 ? 3U : 1U));
        try {
            pool.submit(print_and_die).result();
            FAIL("it is alive");
        } catch (const WorkerLost& lost) {
            CHECK_THAT(
                lost.report().last_stderr, test::ContainsSubstring("my last words")
            );
        }
        pool.reset();
    }
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE("reset: after the manager has ended", "[pool]") {
    auto options = on(each_pool_start_method(), 1);
    options.capture_output = true;
    ProcessPoolExecutor pool(options);
    for (int round = 0; round < 5; ++round) {
        const auto workers_before = pool.submit(inc, 1).result();
        CHECK(workers_before == 2);
        CHECK_THROWS_AS(pool.submit(die_in_pool).result(), BrokenProcessPool);
        while (!pool.workers().empty()) {
            std::this_thread::yield();
        }
        pool.reset();
        CHECK_THROWS_AS(
            pool.submit({.timeout = 10ms}, pause_for_ever, 1).result(), TaskTimeout
        );
    }
}
