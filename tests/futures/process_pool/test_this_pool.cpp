// SPDX-License-Identifier: BSL-1.0
// this_pool(): tasks that submit tasks to the pool that runs them.
#include "futures/futures.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <cstdlib>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using test::Gate;
using test::inc;
using test::on;

namespace {

int add(int a, int b) {
    return a + b;
}

int add_in_pool(int a, int b) {
    return this_pool().submit(add, a, b).result();
}

std::string doubled(std::string text) {
    return text + text;
}

std::string doubled_in_pool(std::string text) {
    return this_pool().submit(doubled, std::move(text)).result();
}

int throw_text(const std::string& text) {
    throw std::invalid_argument(text);
}

std::string caught_in_pool() {
    try {
        this_pool().submit(throw_text, std::string("not five")).result();
    } catch (const std::invalid_argument& error) {
        return error.what();
    }
    return "nothing";
}

int name_length() {
    return static_cast<int>(futures::this_task().name().size());
}

int map_and_wait() {
    auto pool = this_pool();
    std::vector<int> inputs(100);
    std::iota(inputs.begin(), inputs.end(), 0);
    int sum = 0;
    for (const int x : pool.map({.chunksize = 7}, inc, inputs)) {
        sum += x;
    }
    for (const int x : pool.map(add, {1, 2}, {3, 4})) {
        sum += x;
    }
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    const auto sets = pool.wait(all);
    sum += sets.done.size() == 10 && sets.not_done.empty() ? 1 : 1000;
    for (const Future<int>& future : futures::as_completed(all)) {
        sum += future.result();
    }
    return sum;
}

int with_options() {
    auto pool = this_pool();
    const auto named = pool.submit({.name = "five5"}, name_length);
    try {
        pool.submit({.timeout = 10ms}, ::pause).result();
        return -1;
    } catch (const futures::TaskTimeout&) {
        return named.result();
    }
}

int then_in_task() {
    int called = 0;
    auto future = this_pool().submit(inc, 1);
    future.add_done_callback([&](const Future<int>&) { called = 100; });
    const int next = future.then([](int x) { return x + 10; }).result();
    return next + called;  // callbacks run in order
}

std::string where_from() {
    try {
        this_pool();
    } catch (const mp::StateError& error) {
        return error.what();
    }
    return "";
}

std::string in_another_thread() {
    std::string text;
    std::thread([&] { text = where_from(); }).join();
    return text;
}

int fib(int n) {
    if (n < 2) {
        return n;
    }
    auto one = this_pool().submit(fib, n - 1);
    const int other = fib(n - 2);
    return one.result() + other;
}

int sum_to(int n) {
    return n == 0 ? 0 : n + this_pool().submit(sum_to, n - 1).result();
}

int submit_eleven() {
    std::vector<Future<int>> all;
    for (int i = 0; i < 11; ++i) {
        all.push_back(this_pool().submit(inc, i));
    }
    int sum = 0;
    for (const auto& future : all) {
        sum += future.result();
    }
    return sum;
}

int crash() {
    ::kill(::getpid(), SIGKILL);
    return 0;
}

std::string loss_in_pool() {
    const pid_t here = ::getpid();
    try {
        this_pool().submit(crash).result();
    } catch (const futures::WorkerLost& lost) {
        return here == ::getpid() ? lost.report().task : "another process";
    }
    return "nothing";
}

void hold(const std::string& bell) {
    test::ring(bell);
    for (;;) {
        ::pause();
    }
}

/// Submits one that never ends, and does not end either.
void submit_hold(const std::string& bell, bool detached) {
    const auto inner = this_pool().submit({.detached = detached}, hold, bell);
    inner.result();
}

/// The same, but the inner one ends when it may.
int pass_and_ring(
    const std::string& bell, const std::string& gate, const std::string& end
) {
    test::ring(bell);
    test::pass(gate);
    test::ring(end);
    return 0;
}

void submit_detached(
    const std::string& bell, const std::string& gate, const std::string& end
) {
    this_pool().submit({.detached = true}, pass_and_ring, bell, gate, end).result();
}

void submit_and_end(
    const std::string& bell, const std::string& gate, const std::string& end
) {
    this_pool().submit(pass_and_ring, bell, gate, end);
}

int cancel_in_task(const std::string& bell) {
    auto running = this_pool().submit(hold, bell);
    test::pass(bell);
    int score = running.cancel() ? 0 : 1;
    score += running.running() ? 2 : 0;
    auto queued = this_pool().submit(inc, 1);  // nobody is there for it
    score += queued.cancel() && queued.cancelled() ? 4 : 0;
    score += running.cancel(futures::running) ? 8 : 0;
    try {
        running.result();
    } catch (const futures::CancelledError&) {
        score += 16;
    }
    return score;
}

}  // namespace

TEST_CASE("this_pool: a task submits to its own pool, and gets the result") {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(on(context, workers));
    CHECK(pool.submit(add_in_pool, 2, 3).result() == 5);
    CHECK(pool.submit(add_in_pool, 4, 3).result() == 7);
}

TEST_CASE("this_pool: arguments and results may be of any length") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, loss));
    for (const std::size_t length : {10U, 1000U, 20'000U, 3'000'000U}) {
        const std::string text(length, 'x');
        CHECK(pool.submit(doubled_in_pool, text).result() == text + text);
    }
}

TEST_CASE("this_pool: what the inner task throws arrives as it is") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2));
    CHECK(pool.submit(caught_in_pool).result() == "not five");
}

TEST_CASE("this_pool: it has map and wait of the same types, and takes options") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 3);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    CHECK(pool.submit(map_and_wait).result() == 5050 + 4 + 6 + 1 + 55);
    CHECK(pool.submit(with_options).result() == 5);
    CHECK(pool.submit(then_in_task).result() == 112);
}

TEST_CASE("this_pool: anywhere but in a task of a process pool it says so") {
    CHECK_THROWS_AS(this_pool(), mp::StateError);
    CHECK_THAT(where_from(), test::ContainsSubstring("process pool"));
    futures::ThreadPoolExecutor threads(1);
    CHECK_THAT(
        threads.submit(where_from).result(), test::ContainsSubstring("thread pool")
    );
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    CHECK(pool.submit(where_from).result().empty());
    CHECK_THAT(
        pool.submit(in_another_thread).result(), test::ContainsSubstring("this_pool()")
    );
}

TEST_CASE(
    "ray::test_worker_capping::recursion dask::test_client::submit_inside_task: a "
    "recursion with one submit a call ends, on any number of workers"
) {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(on(quick_pool_context(), workers, loss));
    CHECK(pool.submit(sum_to, 10).result(60s) == 55);
    const auto counts = pool.statistics();
    CHECK(counts.submitted == 11);
    CHECK(counts.concluded == 11);
    CHECK(pool.submit(fib, 12).result(60s) == 144);
    CHECK(pool.workers().size() <= static_cast<std::size_t>(2 * workers));
}

TEST_CASE("this_pool: fib(25) with one submit a call ends on two workers", "[slow]") {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, loss));
    CHECK(pool.submit(fib, 25).result() == 75025);
}

TEST_CASE("dask::test_client::secede_many: ten tasks each submit eleven and wait") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit(submit_eleven));
    }
    for (const auto& future : all) {
        CHECK(future.result(60s) == 66);
    }
    const auto counts = pool.statistics();
    CHECK(counts.submitted == 120);
    CHECK(counts.concluded == 120);
}

TEST_CASE(
    "ray::test_worker_capping::nested_1000: a thousand tasks submit one each and wait"
) {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    ProcessPoolExecutor pool(on(quick_pool_context(), 1, loss));
    std::vector<Future<int>> all;
    for (int i = 0; i < 1000; ++i) {
        all.push_back(pool.submit(add_in_pool, i, 1));
    }
    for (int i = 0; i < 1000; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    CHECK(pool.workers().size() <= 2);
}

TEST_CASE("this_pool: the death of the inner task's worker is the inner task's loss") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    CHECK_THAT(pool.submit(loss_in_pool).result(), test::ContainsSubstring("crash"));
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE("ray::test_cancel::recursive: cancelling a running task cancels what it has "
          "submitted") {
    const auto context = each_pool_start_method();
    const Gate bell;
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    auto outer = pool.submit(submit_hold, bell.path(), false);
    REQUIRE(bell.wait_for(1));
    const auto workers = pool.workers();
    CHECK(outer.cancel(futures::running));
    CHECK_THROWS_AS(outer.result(), futures::CancelledError);
    CHECK(test::gone_within(workers, 2s));
    // Both are free again.
    for (const int x : pool.map(inc, {1, 2, 3})) {
        CHECK(x > 1);
    }
}

TEST_CASE("ray::test_failure_2::fate_sharing: what a task has submitted is cancelled "
          "when its "
          "worker dies") {
    const Gate bell;
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
    auto outer = pool.submit(
        [](const std::string& path) {
            auto inner = this_pool().submit(hold, path);
            test::pass(path);
            ::kill(::getpid(), SIGKILL);
            inner.result();
        },
        bell.path()
    );
    CHECK_THROWS_AS(outer.result(), futures::WorkerLost);
    pool.shutdown();  // it would not end
}

TEST_CASE(
    "this_pool: a detached task goes on when the one that submitted it is cancelled"
) {
    const Gate bell;
    const Gate gate;
    const Gate end;
    ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
    auto outer = pool.submit(submit_detached, bell.path(), gate.path(), end.path());
    REQUIRE(bell.wait_for(1));
    CHECK(outer.cancel(futures::running));
    CHECK_THROWS_AS(outer.result(), futures::CancelledError);
    gate.open(1);
    CHECK(end.wait_for(1));
}

TEST_CASE("this_pool: a task that ends leaves what it has submitted to go on") {
    const Gate bell;
    const Gate gate;
    const Gate end;
    {
        ProcessPoolExecutor pool(on(quick_pool_context(), 2));
        pool.submit(submit_and_end, bell.path(), gate.path(), end.path()).result();
        REQUIRE(bell.wait_for(1));
        gate.open(1);
    }
    CHECK(end.has_one());  // the end of the pool waits for it
}

TEST_CASE("this_pool: futures in a task can be cancelled, as they wait and as they run"
) {
    const Gate bell;
    ProcessPoolExecutor pool(
        {.max_workers = 2,
         .mp_context = quick_pool_context(),
         .on_worker_loss = OnWorkerLoss::isolate,
         .max_blocked = 0}
    );
    CHECK(pool.submit(cancel_in_task, bell.path()).result() == 31);
}

TEST_CASE(
    "this_pool: workers that wait leave their share to others while one is busy for "
    "long"
) {
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const int most = GENERATE(0, 1, 2);
    const Gate bell;
    const Gate gate;
    const Gate end;
    ProcessPoolExecutor pool(
        {.max_workers = 2,
         .mp_context = quick_pool_context(),
         .on_worker_loss = loss,
         .max_blocked = most}
    );
    auto busy = pool.submit(pass_and_ring, bell.path(), gate.path(), end.path());
    REQUIRE(bell.wait_for(1));
    CHECK(pool.submit(sum_to, 10).result(60s) == 55);
    CHECK(pool.submit(submit_eleven).result(60s) == 66);
    CHECK(pool.submit(map_and_wait).result(60s) == 5116);
    gate.open(1);
    CHECK(busy.result() == 0);
}

TEST_CASE("this_pool: what is submitted from outside runs while all workers wait") {
    const Gate bell;
    const Gate gate;
    const Gate end;
    ProcessPoolExecutor pool(on(quick_pool_context(), 1, OnWorkerLoss::isolate));
    auto outer = pool.submit(submit_detached, bell.path(), gate.path(), end.path());
    REQUIRE(bell.wait_for(1));  // the inner one has the worker that was added
    gate.open(1);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    outer.result();
}

TEST_CASE("this_pool: the pool may be shut down and ended while tasks wait") {
    const auto context = each_pool_start_method();
    const Gate bell;
    {
        ProcessPoolExecutor pool(on(context, 2));
        const auto future = pool.submit(sum_to, 10);
        pool.shutdown();
        CHECK(future.result() == 55);
    }
    ProcessPoolExecutor pool(on(context, 2));
    auto outer = pool.submit(submit_hold, bell.path(), true);
    REQUIRE(bell.wait_for(1));
    const auto workers = pool.workers();
    pool.kill_workers();
    CHECK_THROWS_AS(outer.result(), futures::BrokenProcessPool);
    CHECK(test::gone_within(workers, 2s));
}
