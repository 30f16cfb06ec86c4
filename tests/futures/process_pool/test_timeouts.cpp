// SPDX-License-Identifier: BSL-1.0
// Tasks of a process pool that run longer than they may: the ladder, rung by rung, and
// that nothing else is harmed. Cancelling what runs is in test_cancel_running.cpp.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <future>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::TaskTimeout;
using test::Gate;
using test::inc;
using test::on;

namespace {

using Clock = std::chrono::steady_clock;

void sleep_through() {
    for (;;) {
        ::pause();
    }
}

int own_pid() {
    return ::getpid();
}

void ignore_sigterm_and_sleep() {
    ::signal(SIGTERM, SIG_IGN);
    sleep_through();
}

void sleep_without_options(const std::string& begun) {
    test::ring(begun);
    sleep_through();
}

int wait_at_gate(const std::string& gate) {
    test::pass(gate);
    return 42;
}

int work_for(std::chrono::microseconds time) {
    for (const auto end = Clock::now() + time; Clock::now() < end;) {
    }
    return 7;
}

int sleep_at_zero(int x) {
    if (x == 0) {
        sleep_through();
    }
    return x;
}

bool exists(pid_t pid) {
    return ::kill(pid, 0) == 0;
}

// ---- what looks at its stop word

int stop_when_asked() {
    while (!futures::this_task().stop_requested()) {
        std::this_thread::yield();
    }
    return 1;
}

int check_for_ever() {
    for (;;) {
        futures::this_task().check_cancelled();
        std::this_thread::yield();
    }
}

int wait_for_token() {
    std::promise<void> stopped;
    const std::stop_callback callback(futures::this_task().stop_token(), [&] {
        stopped.set_value();
    });
    stopped.get_future().wait();
    return futures::this_task().stop_token().stop_requested() ? 2 : 0;
}

void throw_when_asked() {
    stop_when_asked();
    throw std::runtime_error("on my own");
}

// ---- what handles SIGTERM

int handled_fd = -1;

void on_sigterm(int /*signal*/) {
    const ssize_t written = ::write(handled_fd, "x", 1);
    ::_exit(written == 1 ? 0 : 1);
}

void clean_up_at_sigterm(const std::string& cleaned) {
    handled_fd = ::open(cleaned.c_str(), O_WRONLY | O_CLOEXEC);
    ::signal(SIGTERM, on_sigterm);
    sleep_through();
}

void ring_at_sigterm(const std::string& gate) {
    handled_fd = ::open(gate.c_str(), O_WRONLY | O_CLOEXEC);
    ::signal(SIGTERM, [](int /*signal*/) {
        static_cast<void>(::write(handled_fd, "x", 1) == 1);
    });
    sleep_through();
}

volatile sig_atomic_t seen_sigterm = 0;

int return_at_sigterm() {
    ::signal(SIGTERM, [](int /*signal*/) { seen_sigterm = 1; });
    while (seen_sigterm == 0) {
        ::poll(nullptr, 0, 1);  // where ThreadSanitizer runs a signal's handler
    }
    return 3;
}

std::string told_of_itself() {
    const auto task = futures::this_task();
    return task.name() + " " + std::to_string(task.attempt()) + " " +
           (task.deadline().is_forever() ? "for ever" : "limited") + " " +
           std::to_string(task.worker_index()) + (task.stop_requested() ? " stop" : "");
}

}  // namespace

TEST_CASE(
    "pebble::process_pool::timeout: a task over its limit raises TaskTimeout, and "
    "nothing else fails",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    const auto begin = Clock::now();
    futures::Future<void> late;
    futures::Future<int> other;
    {
        ProcessPoolExecutor pool(on(context, 1));
        late = pool.submit({.timeout = 100ms}, sleep_through);
        other = pool.submit(inc, 1);
    }
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    CHECK(other.result() == 2);
    CHECK(Clock::now() - begin >= 100ms);
}

TEST_CASE(
    "pebble::process_pool::timeout_callback: the callback is called once, with the "
    "error",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    std::atomic<int> calls{0};
    std::atomic<int> errors{0};
    {
        ProcessPoolExecutor pool(on(context, 1));
        const auto late = pool.submit({.timeout = 20ms}, sleep_through);
        late.add_done_callback([&](const futures::Future<void>& future) {
            calls += future.done() && !future.running() ? 1 : 0;
            try {
                future.result();
            } catch (const TaskTimeout&) {
                ++errors;
            }
        });
        CHECK_THROWS_AS(late.result(), TaskTimeout);
    }
    CHECK(calls == 1);
    CHECK(errors == 1);
}

TEST_CASE(
    "pebble::process_pool::stop_timeout billiard::pool_source::soft_once: the worker "
    "is gone and replaced, the queue goes on",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto before = pool.submit(own_pid);
    const auto late = pool.submit({.timeout = 50ms}, sleep_through);
    const auto after = pool.submit(own_pid);
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    CHECK_FALSE(exists(before.result()));
    CHECK(before.result() != after.result());
    CHECK(pool.statistics().workers_started == 2);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == 1);
}

TEST_CASE(
    "pebble::process_pool::ignoring_sigterm billiard::pool_source::soft_then_hard: a "
    "task that ignores SIGTERM is killed after .kill_after",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto begin = Clock::now();
    const auto late =
        pool.submit({.timeout = 50ms, .kill_after = 100ms}, ignore_sigterm_and_sleep);
    CHECK_THROWS_WITH(late.result(), test::ContainsSubstring("SIGKILL"));
    CHECK(Clock::now() - begin >= 150ms);
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "A task over its limit dies by SIGTERM if nothing handles that", "[timeout]"
) {
    // The program's own taste is not the workers'.
    const auto before = ::signal(SIGTERM, SIG_IGN);
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto late = pool.submit({.timeout = 20ms, .kill_after = 60s}, sleep_through);
    CHECK_THROWS_WITH(late.result(), test::ContainsSubstring("SIGTERM"));
    ::signal(SIGTERM, before);
}

TEST_CASE("A limit with .kill_after = 0 kills straight away", "[timeout]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    const auto late =
        pool.submit({.timeout = 20ms, .kill_after = 0s}, ignore_sigterm_and_sleep);
    CHECK_THROWS_WITH(late.result(), test::ContainsSubstring("SIGKILL"));
}

TEST_CASE("A task may clean up when it gets SIGTERM", "[timeout]") {
    const auto context = each_pool_start_method();
    const Gate cleaned;
    ProcessPoolExecutor pool(on(context, 1));
    const auto late = pool.submit(
        {.timeout = 50ms, .kill_after = 60s}, clean_up_at_sigterm, cleaned.path()
    );
    CHECK_THROWS_WITH(late.result(), test::ContainsSubstring("exited with code 0"));
    CHECK(cleaned.wait_for(1));
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "billiard::pool_source::soft_timeout: a task that ends in its grace has its "
    "result, and its worker is kept",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const int before = pool.submit(own_pid).result();
    const futures::SubmitOptions gently{.timeout = 20ms, .grace = 60s};
    CHECK(pool.submit(gently, stop_when_asked).result() == 1);
    CHECK(pool.submit(gently, wait_for_token).result() == 2);
    CHECK_THROWS_AS(pool.submit(gently, check_for_ever).result(), TaskTimeout);
    CHECK_THROWS_WITH(pool.submit(gently, throw_when_asked).result(), "on my own");
    CHECK(
        pool.submit({.timeout = 20ms, .kill_after = 60s}, return_at_sigterm).result() ==
        3
    );
    CHECK(pool.submit(own_pid).result() == before);
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE(
    "billiard::pool_source::soft_after_finish: the next task is not asked to stop",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    for (int i = 0; i < 20; ++i) {
        const auto asked = pool.submit({.timeout = 2ms, .grace = 60s}, stop_when_asked);
        const auto next = pool.submit(told_of_itself);
        CHECK(asked.result() == 1);
        CHECK_THAT(
            next.result(), test::ContainsSubstring("told_of_itself() 1 for ever")
        );
        CHECK_THAT(next.result(), !test::ContainsSubstring("stop"));
    }
}

TEST_CASE(
    "pebble::process_pool_source::queue_wait_not_counted "
    "billiard::pool_source::limits_start_at_accept: the time in the queue does not "
    "count",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1));
    const auto first = pool.submit(wait_at_gate, gate.path());
    const auto queued = pool.submit({.timeout = 2s}, work_for, 1ms);
    const auto timer = pool.submit({.timeout = 20ms}, sleep_through);
    // It waits for longer than it may run: another pool's limit is the clock.
    ProcessPoolExecutor clock(on(context, 1));
    CHECK_THROWS_AS(
        clock.submit({.timeout = 2100ms}, sleep_through).result(), TaskTimeout
    );
    gate.open(1);
    CHECK(first.result() == 42);
    CHECK(queued.result() == 7);
    CHECK_THROWS_AS(timer.result(), TaskTimeout);
}

TEST_CASE(
    "mpire::pool::apply.second_raises.timeout: only the worker of the late task is "
    "replaced",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 2));
    const auto first = pool.submit(wait_at_gate, gate.path());
    const auto late = pool.submit({.timeout = 10ms}, sleep_through);
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    gate.open(1);
    CHECK(first.result() == 42);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "mpire::pool::timeout.many_applies: several limits pass at the same time",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 3));
    std::vector<futures::Future<int>> even;
    std::vector<futures::Future<void>> odd;
    for (int i = 0; i < 3; ++i) {
        even.push_back(pool.submit({.timeout = 60s}, inc, i));
        odd.push_back(pool.submit({.timeout = 50ms}, sleep_through));
    }
    for (int i = 0; i < 3; ++i) {
        CHECK(even[static_cast<std::size_t>(i)].result() == i + 1);
        CHECK_THROWS_AS(odd[static_cast<std::size_t>(i)].result(), TaskTimeout);
    }
}

TEST_CASE(
    "mpire::params::timeout_values: no time at all is an invalid argument", "[timeout]"
) {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    CHECK_THROWS_AS(pool.submit({.timeout = 0s}, inc, 1), std::invalid_argument);
    CHECK_THROWS_AS(pool.submit({.timeout = -1s}, inc, 1), std::invalid_argument);
    CHECK(pool.submit({.timeout = std::chrono::hours::max()}, inc, 1).result() == 2);
    CHECK(pool.submit({.timeout = mp::forever}, inc, 1).result() == 2);
    CHECK(pool.statistics().submitted == 2);
}

TEST_CASE(
    "dask::test_failed_workers::hung_worker: a worker that was stopped is killed, too",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const auto late =
        pool.submit({.timeout = 200ms}, sleep_without_options, begun.path());
    REQUIRE(begun.wait_for(1));
    REQUIRE(::kill(pool.workers().at(0), SIGSTOP) == 0);
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    CHECK(pool.submit(inc, 1).result() == 2);
}

TEST_CASE(
    "mpire::comms::timeouts_boundary: a task that ends at its limit ends once, and "
    "no other task is harmed",
    "[timeout]"
) {
    ProcessPoolExecutor pool(on(quick_pool_context(), 2));
    int ended = 0;
    int late = 0;
    for (int round = 0; round < 150; ++round) {
        const auto time = 2ms + std::chrono::microseconds(round % 30 * 10 - 150);
        const auto limited = pool.submit({.timeout = 2ms}, work_for, time);
        const auto other = pool.submit(work_for, 100us);
        const auto behind = pool.submit(work_for, 100us);
        try {
            const int result = limited.result();
            CHECK(result == 7);
            ++ended;
        } catch (const TaskTimeout&) {
            ++late;
        }
        CHECK(other.result() == 7);
        CHECK(behind.result() == 7);
    }
    CHECK(ended + late == 150);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().tasks_lost == static_cast<std::uint64_t>(late));
}

TEST_CASE(
    "pebble::process_pool::map_timeout: each item of a map has a limit of its own",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2));
    const std::vector<int> inputs{1, 0, 2, 0, 3};
    auto results =
        pool.map({.chunksize = 5, .task_timeout = 1s}, sleep_at_zero, inputs);
    std::string seen;
    for (auto it = results.begin(); it != results.end(); ++it) {
        try {
            seen += std::to_string(*it);
        } catch (const TaskTimeout&) {
            seen += '-';
        }
    }
    CHECK(seen == "1-2-3");
    CHECK_THROWS_AS(pool.map({.task_timeout = 0s}, inc, inputs), std::invalid_argument);
}

TEST_CASE(
    "mpire::pool::timeout.task_imap: a lazy map tells of a late item in its place",
    "[timeout]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2));
    auto results = pool.map(
        {.buffersize = 2, .task_timeout = 100ms}, sleep_at_zero, std::vector{1, 2, 0, 4}
    );
    auto it = results.begin();
    CHECK(*it == 1);
    ++it;
    CHECK(*it == 2);
    ++it;
    CHECK_THROWS_AS(*it, TaskTimeout);
    ++it;
    CHECK(*it == 4);
    ++it;
    CHECK(it == results.end());
}

TEST_CASE("A worker that dies in the grace of its task was stopped", "[timeout]") {
    const auto context = each_pool_start_method();
    const Gate begun;
    ProcessPoolExecutor pool(on(context, 1));
    const auto late = pool.submit(
        {.timeout = 10ms, .grace = 60s},
        +[](const std::string& gate) {
            stop_when_asked();
            test::ring(gate);
            sleep_through();
        },
        begun.path()
    );
    REQUIRE(begun.wait_for(1));
    REQUIRE(::kill(pool.workers().at(0), SIGKILL) == 0);
    CHECK_THROWS_AS(late.result(), TaskTimeout);
    CHECK(pool.submit(inc, 1).result() == 2);  // the pool is not broken
}

TEST_CASE("A worker that is killed after SIGTERM was stopped", "[timeout]") {
    const auto context = each_pool_start_method();
    const Gate got_it;
    ProcessPoolExecutor pool(on(context, 1));
    const auto late = pool.submit(
        {.timeout = 10ms, .kill_after = 60s}, ring_at_sigterm, got_it.path()
    );
    REQUIRE(got_it.wait_for(1));
    REQUIRE(::kill(pool.workers().at(0), SIGKILL) == 0);
    CHECK_THROWS_WITH(late.result(), test::ContainsSubstring("SIGKILL"));
    CHECK(pool.submit(inc, 1).result() == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("A task's name stands in what is said of it", "[this_task]") {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1, OnWorkerLoss::isolate));
    CHECK_THROWS_WITH(
        pool.submit({.timeout = 10ms, .name = "resize cat.png"}, sleep_through)
            .result(),
        test::ContainsSubstring("resize cat.png") && test::ContainsSubstring("0.01 s")
    );
    CHECK_THROWS_WITH(
        pool.submit(
                {.name = "crop dog.png"}, +[] { ::raise(SIGKILL); }
        ).result(),
        test::ContainsSubstring("crop dog.png")
    );
}
