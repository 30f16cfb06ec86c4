// SPDX-License-Identifier: BSL-1.0
// How a pool ends, in good order, by force and by accident: behaviours of other pools,
// by their ids.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "futures/wait.hpp"

#include "ported/pool_tasks.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <filesystem>
#include <fstream>
#include <memory>
#include <numeric>
#include <optional>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::rows::Deed;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::each_replacing_method;
using test::tasks::expect_broken;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

using Bytes = std::vector<char>;

constexpr std::size_t hundred_megabytes = 107'000'000;

Bytes ring_and_give_back(const std::string& bell, Bytes bytes) {
    test::ring(bell);
    return bytes;
}

std::vector<int> numbers_up_to(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

int wait_for_ever(const std::string& bell) {
    test::ring(bell);
    for (;;) {
        ::pause();
    }
}

/// A pool whose task makes a pool, and so on, `depth` deep; the innermost task waits.
int nest(const std::string& bell, int depth) {
    test::ring(bell);
    if (depth == 0) {
        return wait_for_ever(bell);
    }
    ProcessPoolExecutor pool(1);
    return pool.submit(nest, bell, depth - 1).result();
}

void write_file(const std::string& folder, int number) {
    std::ofstream(folder + "/" + std::to_string(number)) << "file " << number;
}

int kill_and_pass(pid_t victim, const std::string& bell, const std::string& gate) {
    kill(victim, SIGKILL);
    return ring_and_pass(bell, gate, 1);
}

volatile sig_atomic_t interrupts = 0;

void count_interrupt(int) {
    interrupts = interrupts + 1;
}

/// In a process group of its own: SIGINT to all of it while tasks run.
int interrupt_group(StartMethod method) {
    setpgid(0, 0);
    signal(SIGINT, count_interrupt);
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(mp::get_context(method), 2));
    const auto one = pool.submit(ring_and_pass, bell.path(), gate.path(), 20);
    const auto two = pool.submit(ring_and_pass, bell.path(), gate.path(), 22);
    bell.wait_for(2);
    kill(0, SIGINT);
    gate.open(2);
    const bool right = one.result(60s) + two.result(60s) == 42;
    return right && interrupts == 1 && pool.statistics().workers_lost == 0 ? 0 : 1;
}

/// Each has a value, or BrokenProcessPool; how many have that.
template <class T>
std::size_t count_broken(const std::vector<Future<T>>& all) {
    CHECK(futures::wait(all, 60s).not_done.empty());
    std::size_t broken = 0;
    for (const auto& future : all) {
        try {
            future.result(0s);
        } catch (const BrokenProcessPool&) {
            ++broken;
        }
    }
    return broken;
}

/// inc() of 0, 1, 2 and so on.
std::vector<Future<int>> submit_many(ProcessPoolExecutor& pool, int count) {
    std::vector<Future<int>> all;
    for (int i = 0; i < count; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    return all;
}

}  // namespace

TEST_CASE("pebble::process_pool::stop_futures: none stays pending") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    pool.terminate_workers();
    pool.shutdown();
    CHECK(count_broken(all) == 10);
}

TEST_CASE("pebble::process_pool::stop_stopped_callback: a callback may end the pool") {
    const auto context = each_pool_start_method();
    const bool by_force = GENERATE(true, false);
    const Gate bell;
    {
        ProcessPoolExecutor pool(on(context, 1));
        const Gate gate;
        const auto future = pool.submit(test::pass, gate.path());
        future.add_done_callback([&](const auto&) {
            if (by_force) {
                pool.terminate_workers();
            } else {
                pool.shutdown();
            }
            test::ring(bell.path());
        });
        gate.open(1);
        REQUIRE(bell.wait_for(1));
        CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
    }
    CHECK(mp::active_children().empty());
}

TEST_CASE(
    "pebble::process_pool::join_futures_timeout: a wait for the rest may end before "
    "it does, and the pool can still be ended"
) {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 2; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    pool.shutdown({.wait = false});
    CHECK(futures::wait(all, 1ms).not_done.size() == 2);
    CHECK_THROWS_AS(all[0].result(1ms), futures::TimeoutError);
    CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
    pool.terminate_workers();
    pool.shutdown();
    CHECK(count_broken(all) == 2);
}

TEST_CASE(
    "pebble::process_pool::stop_large_data: large arguments under way hold nobody up"
) {
    const auto context = each_pool_start_method();
    const Gate bell;
    ProcessPoolExecutor pool(on(context, 1));
    std::vector<Future<Bytes>> all;
    for (int i = 0; i < 2; ++i) {
        all.push_back(
            pool.submit(ring_and_give_back, bell.path(), Bytes(hundred_megabytes))
        );
    }
    REQUIRE(bell.wait_for(1));
    const auto workers = pool.workers();
    pool.kill_workers();
    pool.shutdown();
    CHECK(gone_within(workers, 5s));
    CHECK(count_broken(all) > 0);
}

TEST_CASE("pebble::process_pool_source::worker_ignores_sigint: only the parent gets it"
) {
    const auto method = each_pool_start_method().get_start_method();
    CHECK(test::run_in_fork_for(60s, [&] { return interrupt_group(method); }) == 0);
}

TEST_CASE("mpire::pool::terminate.explicit: what is left of a lazy map throws") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto work = [](const std::string& path, int x) {
        test::pass(path);
        return x;
    };
    auto results = pool.map(
        {.buffersize = 4}, work, std::vector(20, gate.path()), numbers_up_to(20)
    );
    gate.open(1);
    auto it = results.begin();
    CHECK(*it == 0);
    pool.terminate_workers();
    ++it;
    CHECK_THROWS_AS(results.to_vector(), BrokenProcessPool);
}

TEST_CASE(
    "mpire::pool::terminate.scope mpire::docs::results_after_scope: results can be "
    "read when the scope has been left"
) {
    std::vector<Future<int>> singles;
    std::optional<futures::MapResults<int>> results;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
        for (int i = 0; i < 10; ++i) {
            singles.push_back(pool.submit(inc, i));
        }
        results.emplace(pool.map(inc, numbers_up_to(10)));
        CHECK(*results->begin() == 1);
    }
    CHECK(results->to_vector() == std::vector{2, 3, 4, 5, 6, 7, 8, 9, 10});
    for (int i = 0; i < 10; ++i) {
        CHECK(singles[static_cast<std::size_t>(i)].result(0s) == i + 1);
    }
}

TEST_CASE(
    "loky::process_executor::shutdown_with_encode_error: an argument that cannot be "
    "written does not hold the end up"
) {
    const auto context = each_pool_start_method();
    for (int round = 0; round < 5; ++round) {
        ProcessPoolExecutor pool(on(context, 4));
        const auto future =
            pool.submit(take, Misbehaving{.when_written = Deed::throw_error});
        CHECK_THROWS_AS(future.result(60s), mp::SerializationError);
    }
}

TEST_CASE(
    "loky::process_executor::shutdown_with_exit_at_encode: the wish to exit reaches "
    "the future, the program goes on"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto future =
        pool.submit(take, Misbehaving{.when_written = Deed::throw_exit});
    pool.shutdown();
    CHECK_THROWS_AS(future.result(60s), mp::SystemExit);
}

TEST_CASE(
    "loky::process_executor::interpreter_shutdown_map: a program that ends waits for "
    "its work, and is quiet"
) {
    const auto method = each_pool_start_method().get_start_method();
    const test::TempDir folder;
    const auto ended = test::run_captured([&] {
        mp::Process program(
            {.start_method = StartMethod::fork},
            [](const std::string& path, StartMethod inner) {
                // Nobody deletes it.
                auto* const pool =
                    new ProcessPoolExecutor(on(mp::get_context(inner), 4));
                for (int i = 0; i < 8; ++i) {
                    pool->submit(write_file, path, i);
                }
            },
            folder.path().string(),
            method
        );
        program.start();
        program.join();
        return program.exitcode().value_or(99);
    });
    CHECK(ended.status == 0);
    CHECK(ended.text.empty());
    for (int i = 0; i < 8; ++i) {
        std::ifstream file(folder.path() / std::to_string(i));
        std::string text;
        std::getline(file, text);
        CHECK(text == "file " + std::to_string(i));
    }
}

TEST_CASE(
    "loky::process_executor::terminate_on_gc: what is dropped finishes its work, then "
    "its workers end"
) {
    const auto context = each_pool_start_method();
    const Gate gate;
    auto pool = std::make_unique<ProcessPoolExecutor>(on(context, 2));
    const auto work = [](const std::string& path, int x) {
        test::pass(path);
        return x;
    };
    auto results = pool->map(work, std::vector(10, gate.path()), numbers_up_to(10));
    const auto workers = pool->workers();
    gate.open(10);
    std::thread dropping([&] { pool.reset(); });
    CHECK(results.to_vector() == numbers_up_to(10));
    dropping.join();
    CHECK(gone_within(workers, 5s));
}

TEST_CASE(
    "loky::process_executor::shutdown_kill_nested: no process of any level is left"
) {
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto future = pool.submit(nest, bell.path(), 2);
    REQUIRE(bell.wait_for(4));
    // The case's listener finds processes that are left, orphans too.
    pool.kill_workers();
    pool.shutdown();
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
}

TEST_CASE(
    "loky::reusable_executor::shutdown_kill: a hundred results, then an end by force"
) {
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    CHECK(pool.map(inc, numbers_up_to(100)).to_vector().back() == 100);
    std::vector<Future<int>> rest;
    for (int i = 0; i < 100; ++i) {
        rest.push_back(pool.submit(wait_for_ever, bell.path()));
    }
    pool.kill_workers();
    pool.shutdown();
    CHECK(count_broken(rest) == 100);
}

TEST_CASE(
    "loky::reusable_executor::shutdown_while_killed: a worker that is killed meanwhile "
    "holds nobody up"
) {
    const auto context = each_pool_start_method();
    const auto loss = GENERATE(OnWorkerLoss::break_pool, OnWorkerLoss::isolate);
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 2, loss));
    const auto victim = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    // Two were started at once under fork; elsewhere the one that has the task.
    const auto killer =
        pool.submit(kill_and_pass, pool.workers().at(0), bell.path(), gate.path());
    gate.open(2);
    pool.shutdown();
    CHECK(victim.done());
    CHECK(killer.done());
}

TEST_CASE(
    "billiard::pool_tests::graceful_shutdown_delivers: results that nobody has read "
    "are there"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    const auto all = submit_many(pool, 8);
    pool.shutdown();
    for (int i = 0; i < 8; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == i + 1);
    }
}

TEST_CASE("mpi4py::test_futures::Shutdown::cancel_later: the second shutdown may cancel"
) {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    const auto queued = submit_many(pool, 100);
    pool.shutdown({.wait = false});
    CHECK_FALSE(queued.back().cancelled());
    pool.shutdown({.wait = false, .cancel_futures = true});
    CHECK(queued.back().cancelled());
    gate.open(1);
    CHECK(first.result(60s) == 1);
}

TEST_CASE(
    "mpi4py::test_futures::Shutdown::cancel_wait: who waits for a cancelled one is "
    "woken"
) {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    const auto queued = submit_many(pool, 100);
    std::atomic<bool> woken{false};
    std::thread waiting([&] {
        woken = futures::wait({first, queued.back()}, 60s).not_done.empty();
    });
    pool.shutdown({.wait = false, .cancel_futures = true});
    gate.open(1);
    waiting.join();
    CHECK(woken);
    CHECK_FALSE(first.cancelled());
    CHECK(first.result(60s) == 1);
    CHECK(queued.back().cancelled());
}

TEST_CASE(
    "mpi4py::test_futures::Shutdown::repeated_combinations: any, any number of times"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    pool.submit(pid).result(60s);
    for (const bool wait : {false, true, true}) {
        for (const bool cancel : {false, true}) {
            CHECK_NOTHROW(pool.shutdown({.wait = wait, .cancel_futures = cancel}));
        }
    }
    CHECK(pool.workers().empty());
}

TEST_CASE(
    "dask::test_client_executor::shutdown_nowait: does not wait, and cancels if told"
) {
    const auto context = each_pool_start_method();
    const bool cancel = GENERATE(false, true);
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(on(context, 1));
    const auto running = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    const auto queued = pool.submit(inc, 1);
    REQUIRE(bell.wait_for(1));
    // Would it wait, it would do so for ever: nobody opens the gate.
    pool.shutdown({.wait = false, .cancel_futures = cancel});
    CHECK_FALSE(running.done());
    CHECK(queued.cancelled() == cancel);
    gate.open(1);
    CHECK(running.result(60s) == 1);
    if (!cancel) {
        CHECK(queued.result(60s) == 2);
    }
}
