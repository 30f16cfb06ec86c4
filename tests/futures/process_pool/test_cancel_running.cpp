// SPDX-License-Identifier: BSL-1.0
// cancel(running): a task of a process pool that runs is stopped, and ends as
// cancelled, once.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::CancelledError;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::inc;
using test::on;

namespace {

void ring_and_sleep(const std::string& gate) {
    test::ring(gate);
    for (;;) {
        ::pause();
    }
}

void ring_ignore_and_sleep(const std::string& gate) {
    ::signal(SIGTERM, SIG_IGN);
    ring_and_sleep(gate);
}

void ring_and_check(const std::string& gate) {
    test::ring(gate);
    for (;;) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
}

int ring_and_return_when_asked(const std::string& gate) {
    test::ring(gate);
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
    return 5;
}

void ring_and_throw_when_asked(const std::string& gate) {
    ring_and_return_when_asked(gate);
    throw std::runtime_error("of no interest");
}

int pid_of_worker() {
    return ::getpid();
}

int short_work(std::chrono::microseconds time) {
    using Clock = std::chrono::steady_clock;
    for (const auto end = Clock::now() + time; Clock::now() < end;) {
    }
    return 7;
}

void count_entry(const std::string& gate) {
    test::ring(gate);
}

int pass_unless_zero(int x, const std::string& gate) {
    if (x != 0) {
        test::pass(gate);
    }
    return x;
}

std::size_t length_of(const std::string& text) {
    return text.size();
}

struct SlowlyDecoded {
    std::string gate;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& gate;
        if constexpr (Archive::is_loading::value) {
            ring_and_sleep(gate);
        }
    }
};

void take_slowly(const SlowlyDecoded&) {}

}  // namespace

TEST_CASE(
    "pebble::process_pool::cancel pebble::process_pool::stop_cancel "
    "billiard::pool_source::terminate_job dask::test_client_executor::cancellation: a "
    "task that runs is cancelled, and its worker replaced",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1, OnWorkerLoss::break_pool));
    const int before = pool.submit(pid_of_worker).result();
    const auto runs = pool.submit(ring_and_sleep, begun.path());
    const auto behind = pool.submit(pid_of_worker);
    REQUIRE(begun.wait_for(1));
    CHECK_FALSE(runs.cancel());  // as in Python
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
    CHECK(runs.cancelled());
    CHECK(::kill(before, 0) == -1);
    CHECK(behind.result() != before);
    CHECK(runs.cancel(futures::running));  // still true
    CHECK(runs.cancel());
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE(
    "pebble::process_pool::cancel_callback: the callback is called once, when the "
    "worker is gone",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    std::atomic<int> calls{0};
    std::atomic<bool> gone{false};
    {
        ProcessPoolExecutor pool(on(context, 1));
        const auto runs = pool.submit(ring_ignore_and_sleep, begun.path());
        REQUIRE(begun.wait_for(1));
        const pid_t worker = pool.workers().at(0);
        runs.add_done_callback([&](const auto& future) {
            ++calls;
            gone = future.cancelled() && ::kill(worker, 0) == -1;
        });
        CHECK(runs.cancel(futures::running));
        CHECK_THROWS_AS(runs.result(), CancelledError);
    }
    CHECK(calls == 1);
    CHECK(gone);
}

TEST_CASE(
    "dask::test_cancelled_state::cancelled_task_fails: a task that stops when it is "
    "asked to keeps its worker, whatever it ends with",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const int before = pool.submit(pid_of_worker).result();
    const auto cancelled = [&](const auto& future) {
        REQUIRE(begun.wait_for(1));
        CHECK(future.cancel(futures::running));
        CHECK_THROWS_AS(future.result(), CancelledError);
        CHECK(future.cancelled());
    };
    cancelled(pool.submit({.grace = 60s}, ring_and_check, begun.path()));
    cancelled(pool.submit({.grace = 60s}, ring_and_return_when_asked, begun.path()));
    cancelled(pool.submit({.grace = 60s}, ring_and_throw_when_asked, begun.path()));
    CHECK(pool.submit(pid_of_worker).result() == before);
}

TEST_CASE(
    "pebble::process_pool::cancel_before_pickup billiard::pool_source::"
    "cancel_before_accept: what was cancelled in the queue is never entered",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    const Gate entered;
    ProcessPoolExecutor pool(on(context, 2));
    const auto one = pool.submit(ring_and_sleep, begun.path());
    const auto two = pool.submit(ring_and_sleep, begun.path());
    const auto queued = pool.submit(count_entry, entered.path());
    const auto more = pool.submit(count_entry, entered.path());
    REQUIRE(begun.wait_for(2));
    CHECK(queued.cancel());
    CHECK(more.cancel(futures::running));
    CHECK(one.cancel(futures::running));
    CHECK(two.cancel(futures::running));
    CHECK_THROWS_AS(one.result(), CancelledError);
    CHECK_THROWS_AS(two.result(), CancelledError);
    pool.submit(count_entry, entered.path()).result();
    CHECK(entered.wait_for(1));
    CHECK_THROWS_AS(queued.result(), CancelledError);
    CHECK_THROWS_AS(more.result(), CancelledError);
    CHECK(pool.statistics().concluded == 5);
}

TEST_CASE(
    "ray::test_cancel::during_arg_decode: a task is cancelled while it is decoded",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const auto runs = pool.submit(take_slowly, SlowlyDecoded{begun.path()});
    REQUIRE(begun.wait_for(1));
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE("A stopped worker's task can be cancelled", "[cancel]") {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const auto runs = pool.submit(ring_and_sleep, begun.path());
    REQUIRE(begun.wait_for(1));
    REQUIRE(::kill(pool.workers().at(0), SIGSTOP) == 0);
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "pebble::process_pool::cancel_race_next_task ray::test_cancel::fast: a task that "
    "ends while it is cancelled ends once, as cancel() said, and the next one is not "
    "harmed",
    "[cancel]"
) {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    int cancelled = 0;
    int ended = 0;
    std::atomic<int> calls{0};
    constexpr int rounds = 200;
    for (int round = 0; round < rounds; ++round) {
        const auto raced = pool.submit(short_work, 300us);
        raced.add_done_callback([&](const auto&) { ++calls; });
        const auto next = pool.submit(short_work, 50us);
        short_work(std::chrono::microseconds(round % 50 * 10));
        const bool said = raced.cancel(futures::running);
        try {
            const int result = raced.result();
            CHECK(result == 7);
            ++ended;
            CHECK_FALSE(said);
        } catch (const CancelledError&) {
            ++cancelled;
            CHECK(said);
        }
        CHECK(next.result() == 7);
    }
    CHECK(ended + cancelled == rounds);
    pool.shutdown();
    CHECK(calls == rounds);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "ray::test_cancel::stress: of many tasks half are cancelled, and the rest have "
    "their values",
    "[cancel]"
) {
    const Gate begun;
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    const auto blocks = pool.submit(ring_and_sleep, begun.path());
    REQUIRE(begun.wait_for(1));
    std::vector<futures::Future<int>> tasks;
    for (int i = 0; i < 100; ++i) {
        tasks.push_back(pool.submit(inc, i));
    }
    for (std::size_t i = 0; i < tasks.size(); i += 2) {
        CHECK(tasks[i].cancel(futures::running));
    }
    CHECK(blocks.cancel(futures::running));
    for (std::size_t i = 0; i < tasks.size(); ++i) {
        if (i % 2 == 0) {
            CHECK_THROWS_AS(tasks[i].result(), CancelledError);
        } else {
            CHECK(tasks[i].result() == static_cast<int>(i) + 1);
        }
    }
}

TEST_CASE(
    "dask::test_cancelled_state::cancel_then_same_again dask::test_cancelled_state::"
    "cancelled_error_superseded: the same work again has its own result",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 2));
    const auto old =
        pool.submit({.grace = 60s}, ring_and_throw_when_asked, begun.path());
    REQUIRE(begun.wait_for(1));
    CHECK(old.cancel(futures::running));
    const auto again = pool.submit(inc, 1);
    CHECK(again.result() == 2);
    CHECK_THROWS_AS(old.result(), CancelledError);
}

TEST_CASE("A cancelled task is cancelled also when the pool breaks", "[cancel]") {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 2));
    const auto runs = pool.submit({.grace = 60s}, ring_and_sleep, begun.path());
    REQUIRE(begun.wait_for(1));
    CHECK(runs.cancel(futures::running));
    const auto lost = pool.submit(+[] { ::raise(SIGKILL); });
    CHECK_THROWS_AS(lost.result(), futures::WorkerLost);
    CHECK_THROWS_AS(runs.result(), CancelledError);
}

TEST_CASE("A future made by hand that runs cannot be cancelled", "[cancel]") {
    const futures::Future<int> pending;
    CHECK(pending.cancel(futures::running));
    const futures::Future<int> future;
    CHECK(future.set_running_or_notify_cancel());
    CHECK_FALSE(future.cancel(futures::running));
    future.set_result(1);
    CHECK_FALSE(future.cancel(futures::running));
}

TEST_CASE(
    "dask::test_client_executor::map_dropped: a map that is dropped leaves nothing "
    "queued",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1));
    {
        auto results = pool.map(
            pass_unless_zero, {0, 0, 1, 1, 1, 1, 1}, std::vector(7, gate.path())
        );
        auto it = results.begin();
        CHECK(*it == 0);
        ++it;
        CHECK(*it == 0);
    }
    gate.open(1);  // for the one that runs, if any does
    pool.shutdown();
    CHECK(pool.statistics().concluded == 7);
}

TEST_CASE(
    "mpi4py::test_futures::Executor::submit_cancel: what is queued is cancelled, and "
    "all of it",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const auto runs = pool.submit(ring_and_sleep, begun.path());
    std::vector<futures::Future<int>> queued;
    for (int i = 0; i < 100; ++i) {
        queued.push_back(pool.submit(inc, i));
    }
    const auto last = pool.submit(inc, 1);
    CHECK(last.cancel());
    CHECK(last.cancelled());
    REQUIRE(begun.wait_for(1));
    for (const auto& future : queued) {
        CHECK(future.cancel(futures::running));
    }
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(), CancelledError);
}

TEST_CASE(
    "pebble::process_pool::deadlock_cancel_large_data: tasks with long arguments are "
    "cancelled while they are read",
    "[cancel]"
) {
    const auto context = each_pool_start_method();
    std::vector<futures::Future<std::size_t>> tasks;
    {
        ProcessPoolExecutor pool(on(context, 2));
        const std::string text(20'000'000, 'x');
        for (int i = 0; i < 6; ++i) {
            tasks.push_back(pool.submit(length_of, text));
        }
        CHECK(tasks.front().result() == text.size());
        for (const auto& task : tasks) {
            task.cancel(futures::running);
        }
    }
    for (const auto& task : tasks) {
        CHECK(task.done());
    }
}
