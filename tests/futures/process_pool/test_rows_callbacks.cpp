// SPDX-License-Identifier: BSL-1.0
// Callbacks of a process pool's futures, when they throw, when they submit and when
// workers die: behaviours of other pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <new>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::SerializationPhase;
using test::Gate;
using test::inc;
using test::on;
using test::rows::commit_in_task;
using test::rows::Deed;
using test::rows::expect_lost;
using test::rows::expect_unserialised;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::fail;
using test::tasks::ring_and_pass;

namespace {

int count_down(int from) {
    return from - 1;
}

/// Submits the next one in the callback of the one before, until 0.
class Chain {
public:
    Chain(ProcessPoolExecutor& pool, int length) : pool_(pool) { go_on(length); }

    bool ended() const { return end_.exception(60s) == nullptr; }

private:
    void go_on(int from) {
        pool_.submit(count_down, from).add_done_callback([this](const Future<int>& f) {
            if (f.result() > 0) {
                go_on(f.result());
            } else {
                end_.set_result();
            }
        });
    }

    ProcessPoolExecutor& pool_;
    Future<void> end_;
};

/// Whatever can go wrong on the way of a task, each time with the error that belongs to
/// it, and then a task that goes well.
void go_through_crashes(ProcessPoolExecutor& pool) {
    for (const Deed deed : {Deed::crash, Deed::exit_process}) {
        expect_lost(pool.submit(take, Misbehaving{.when_read = deed}));
        expect_lost(pool.submit(commit_in_task, deed));
        expect_lost(pool.submit(give, deed, Deed::none));
    }
    expect_unserialised(
        pool.submit(take, Misbehaving{.when_written = Deed::throw_error}),
        SerializationPhase::encode_task
    );
    expect_unserialised(
        pool.submit(take, Misbehaving{.when_read = Deed::throw_error}),
        SerializationPhase::decode_task
    );
    expect_unserialised(
        pool.submit(give, Deed::throw_error, Deed::none),
        SerializationPhase::encode_result
    );
    expect_unserialised(
        pool.submit(give, Deed::none, Deed::throw_error),
        SerializationPhase::decode_result
    );
    CHECK_THROWS_AS(
        pool.submit(commit_in_task, Deed::throw_exit).result(60s), mp::SystemExit
    );
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

}  // namespace

TEST_CASE(
    "pebble::process_pool::callback_error loky::reusable_executor::callback_exits "
    "billiard::pool_tests::callback_memory_error: whatever a callback throws is "
    "logged, and the pool goes on"
) {
    const auto context = each_pool_start_method();
    const test::LogCapture log;
    const std::vector<std::function<void()>> deeds{
        [] { throw std::domain_error("a callback's error"); },
        [] { throw 42; },
        [] { throw mp::SystemExit(3); },
        [] {
            throw std::bad_alloc();
        }};
    {
        ProcessPoolExecutor pool(on(context, 1));
        for (const auto& deed : deeds) {
            const auto future = pool.submit(inc, 41);
            future.add_done_callback([&](const Future<int>&) { deed(); });
            CHECK(future.result(60s) == 42);
            CHECK(pool.submit(inc, 1).result(60s) == 2);
        }
    }
    CHECK_THAT(log.text(), test::ContainsSubstring("a callback's error"));
    CHECK_THAT(log.text(), test::ContainsSubstring("bad_alloc"));
}

TEST_CASE(
    "mpire::pool::apply.callback: once with the value, once with the exception, which "
    "result() throws all the same"
) {
    std::atomic<int> values{0};
    std::atomic<int> errors{0};
    const auto count = [&](const auto& future) {
        ++(future.exception() == nullptr ? values : errors);
    };
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto good = pool.submit(inc, 1);
    good.add_done_callback(count);
    const auto bad = pool.submit(fail);
    bad.add_done_callback(count);
    CHECK(good.result(60s) == 2);
    CHECK_THROWS_WITH(bad.result(60s), "failed on purpose");
    pool.shutdown();
    CHECK(values == 1);
    CHECK(errors == 1);
}

TEST_CASE("loky::process_executor::submit_from_callback: three chains, to their ends") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const Chain one(pool, 101);
    const Chain two(pool, 51);
    const Chain three(pool, 61);
    CHECK(one.ended());
    CHECK(two.ended());
    CHECK(three.ended());
}

TEST_CASE("loky::reusable_executor::in_callback_submit_with_crash: the same errors as "
          "elsewhere, and the pool's thread lives") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate));
    const Future<void> over;
    pool.submit(inc, 1).add_done_callback([&](const Future<int>&) {
        go_through_crashes(pool);
        over.set_result();
    });
    over.result(60s);
    go_through_crashes(pool);
}

TEST_CASE(
    "dask::test_client::fire_and_forget: a task whose future is dropped still runs"
) {
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    pool.submit(fail);
    pool.submit(test::ring, bell.path());
    CHECK(bell.wait_for(1));
    CHECK(test::soon([&] {
        const auto statistics = pool.statistics();
        return statistics.concluded == statistics.submitted;
    }));
}

TEST_CASE("ray::test_failure_3::callback_submits_after_death: no deadlock when it runs "
          "because a worker died") {
    const auto context = each_pool_start_method();
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1, loss));
    const auto doomed = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    const Future<int> later;
    doomed.add_done_callback([&](const Future<int>&) {
        try {
            later.set_result(pool.submit(inc, 1).result(60s));
        } catch (...) {
            later.set_exception(std::current_exception());
        }
    });
    REQUIRE(bell.wait_for(1));
    kill(pool.workers().at(0), SIGKILL);
    if (loss == OnWorkerLoss::isolate) {
        CHECK(later.result(60s) == 2);
    } else {
        CHECK_THROWS_AS(later.result(60s), BrokenProcessPool);
    }
}

TEST_CASE(
    "ray::test_failure_3::callbacks_while_dying: each of ten thousand runs once, while "
    "workers are killed"
) {
    constexpr std::size_t tasks = 10'000;
    const test::LogCapture log;  // of forks beside the thread that submits
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    std::vector<std::atomic<int>> calls(tasks);
    std::atomic<std::size_t> called{0};
    pool.submit(inc, 0).result(60s);
    std::thread submitting([&] {
        for (std::size_t i = 0; i < tasks; ++i) {
            pool.submit(inc, 1).add_done_callback([&, i](const Future<int>&) {
                ++calls[i];
                ++called;
            });
        }
    });
    int kills = 0;
    for (std::size_t next = tasks / 8; called < tasks; std::this_thread::yield()) {
        const auto workers = pool.workers();
        if (called >= next && !workers.empty()) {
            kills += kill(workers.at(0), SIGKILL) == 0 ? 1 : 0;
            next += tasks / 4;
        }
    }
    submitting.join();
    pool.shutdown();
    CHECK(kills > 0);
    CHECK(called == tasks);
    int wrong = 0;
    for (const auto& count : calls) {
        wrong += count == 1 ? 0 : 1;
    }
    CHECK(wrong == 0);
}
