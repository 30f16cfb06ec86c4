// SPDX-License-Identifier: BSL-1.0
// Pools that are ended while something else happens. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::CancelledError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::StartMethod;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::ring_and_pass;

namespace {

ProcessPoolOptions ended_pool() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

std::string long_text(std::size_t size) {
    return std::string(size, 'x');
}

void ring_and_block_for_ever(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

void kill_myself() {
    raise(SIGKILL);
}

}  // namespace

TEST_CASE("J1: a pool that was shut down takes nothing", "[faults]") {
    ProcessPoolExecutor pool(ended_pool());
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    pool.shutdown();
    CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
    CHECK_THROWS_AS(pool.map(inc, {1, 2}), mp::StateError);
    CHECK_THROWS_AS(pool.resize(3), mp::StateError);
    CHECK_THROWS_AS(pool.reset(), mp::StateError);
}

TEST_CASE("J4: fifty queued tasks are cancelled by the shutdown", "[faults]") {
    const Gate bell;
    const Gate gate;
    auto options = ended_pool();
    const auto workers = static_cast<std::size_t>(options.max_workers->value());
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> running;
    for (std::size_t i = 0; i < workers; ++i) {
        running.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), 1));
    }
    REQUIRE(bell.wait_for(workers));
    std::vector<Future<int>> queued;
    for (int i = 0; i < 50; ++i) {
        queued.push_back(pool.submit(inc, i));
    }
    pool.shutdown({.wait = false, .cancel_futures = true});
    gate.open(workers);
    pool.shutdown();
    for (const auto& one : running) {
        CHECK(one.result(0s) == 1);
    }
    for (const auto& one : queued) {
        CHECK_THROWS_AS(one.result(0s), CancelledError);
    }
}

TEST_CASE("J6: a hundred results of a megabyte that nobody reads", "[faults]") {
    ProcessPoolExecutor pool(ended_pool());
    std::vector<Future<std::string>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit(long_text, std::size_t{1} << 20U));
    }
    pool.shutdown();
    for (const auto& one : all) {
        CHECK(one.result(0s).size() == std::size_t{1} << 20U);
    }
}

TEST_CASE(
    "J9 J13 J19: what is thrown out of the pool's scope wins, and nothing is left",
    "[faults]"
) {
    Future<int> future;
    CHECK_THROWS_AS(
        [&] {
            ProcessPoolExecutor pool(ended_pool());
            future = pool.submit(inc, 1);
            throw std::domain_error("the program's own");
        }(),
        std::domain_error
    );
    CHECK(future.result(0s) == 2);
}

TEST_CASE("J10: submitted, cancelled and shut down at once", "[faults]") {
    for (int round = 0; round < 20; ++round) {
        ProcessPoolExecutor pool(on(quick_pool_context(), 2, OnWorkerLoss::isolate));
        std::vector<Future<int>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(pool.submit(inc, i));
        }
        std::thread cancelling([&] {
            for (const auto& one : all) {
                one.cancel();
            }
        });
        pool.shutdown();
        cancelling.join();
        for (const auto& one : all) {
            CHECK(one.done());
        }
    }
}

TEST_CASE("J12: an end by force while initializers have not ended", "[faults]") {
    const Gate bell;
    auto options = ended_pool();
    options.initializer = mp::call(ring_and_block_for_ever, bell.path());
    ProcessPoolExecutor pool(std::move(options));
    const auto future = pool.submit(inc, 1);
    REQUIRE(bell.wait_for(1));
    pool.kill_workers();
    pool.shutdown();
    CHECK_THROWS_AS(future.result(0s), BrokenProcessPool);
}

TEST_CASE(
    "J14 J15: exit() from main while tasks run, and a submit in an exit handler",
    "[faults]"
) {
    const auto method = each_pool_start_method().get_start_method();
    const Gate bell;
    mp::Process program(
        {.start_method = StartMethod::fork},
        [](StartMethod inner, const std::string& path) {
            static auto* const pool = new ProcessPoolExecutor(
                on(mp::get_context(inner), 2, OnWorkerLoss::isolate)
            );
            for (int i = 0; i < 10; ++i) {
                pool->submit(test::ring, path);
            }
            // It runs before the library's own, which is older.
            std::atexit([] {
                if (pool->submit(inc, 1).result(60s) != 2) {
                    _exit(7);
                }
            });
            std::atexit([] {
                std::thread([] { pool->submit(inc, 1).result(60s); }).join();
            });
            std::exit(0);
        },
        method,
        bell.path()
    );
    program.start();
    program.join(60s);
    CHECK(program.exitcode() == 0);
    CHECK(bell.wait_for(10));
}

TEST_CASE("J17: a child that the program forks leaves the pool alone", "[faults]") {
    const test::LogCapture log;
    auto pool = std::make_unique<ProcessPoolExecutor>(ended_pool());
    CHECK(pool->submit(inc, 1).result(60s) == 2);
    const int status = test::run_in_fork([&] {
        try {
            pool->submit(inc, 1);
            return 1;
        } catch (const mp::StateError&) {
        }
        pool.reset();
        return 0;
    });
    CHECK(status == 0);
    CHECK(pool->submit(inc, 2).result(60s) == 3);
    CHECK(pool->statistics().workers_lost == 0);
}

TEST_CASE("J18: all workers die while a full pool is shut down", "[faults]") {
    const Gate bell;
    const Gate gate;
    auto options = ended_pool();
    const auto workers = static_cast<std::size_t>(options.max_workers->value());
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> running;
    for (std::size_t i = 0; i < workers; ++i) {
        running.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), 1));
    }
    REQUIRE(bell.wait_for(workers));
    std::vector<Future<void>> dying;
    std::vector<Future<int>> queued;
    for (int i = 0; i < 200; ++i) {
        queued.push_back(pool.submit(inc, i));
        if (i % 50 == 0) {
            dying.push_back(pool.submit(kill_myself));
        }
    }
    const auto pids = pool.workers();
    std::thread ending([&] { pool.shutdown(); });
    for (const pid_t pid : pids) {
        kill(pid, SIGKILL);
    }
    ending.join();
    for (const auto& one : running) {
        CHECK_THROWS_AS(one.result(0s), futures::WorkerLost);
    }
    for (const auto& one : dying) {
        CHECK_THROWS_AS(one.result(0s), futures::WorkerLost);
    }
    for (int i = 0; i < 200; ++i) {
        CHECK(queued[static_cast<std::size_t>(i)].result(0s) == i + 1);
    }
}
