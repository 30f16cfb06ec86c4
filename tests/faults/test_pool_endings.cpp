// SPDX-License-Identifier: BSL-1.0
// Pools that begin, end, replace their workers and map while something goes wrong. The
// cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstddef>
#include <functional>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::rows::expect_lost;
using test::tasks::each_replacing_method;
using test::tasks::exit_now;
using test::tasks::pid;
using test::tasks::ring_and_pass;

namespace {

/// For each of 1, 2 and 8 workers, by each start method.
ProcessPoolOptions any_pool(OnWorkerLoss loss) {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), loss);
}

void refuse_in_initializer() {
    throw std::domain_error("no such luck");
}

int block_against_sigterm() {
    signal(SIGTERM, SIG_IGN);
    test::block_until_killed();
}

int exit_behind(const std::string& bell, const std::string& gate) {
    ring_and_pass(bell, gate, 0);
    exit_now(3);
    return 0;
}

int ring_and_block(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

/// A pool in a task, whose task waits.
int nest_once(const std::string& bell) {
    ProcessPoolExecutor pool(1);
    return pool.submit(ring_and_block, bell).result();
}

std::vector<int> numbers_to(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

/// Counts up without an end, or throws at a number.
class Endless {
public:
    class Iterator {
    public:
        explicit Iterator(Endless* from) : from_(from) {}

        int operator*() const {
            if (from_->taken == from_->throws_at) {
                throw std::domain_error("no more");
            }
            return from_->taken;
        }

        Iterator& operator++() {
            ++from_->taken;
            return *this;
        }

        bool operator!=(const Iterator&) const { return true; }

    private:
        Endless* from_;
    };

    Iterator begin() { return Iterator(this); }

    Iterator end() { return Iterator(this); }

    int throws_at = -1;
    int taken = 0;
};

}  // namespace

TEST_CASE(
    "H1: an initializer that throws breaks the pool, with its error", "[faults]"
) {
    const test::LogCapture log;
    auto options = any_pool(OnWorkerLoss::isolate);
    options.initializer = mp::call(refuse_in_initializer);
    ProcessPoolExecutor pool(options);
    const auto future = pool.submit(inc, 1);
    try {
        future.result(60s);
        FAIL_CHECK("no exception");
    } catch (const BrokenProcessPool& error) {
        CHECK_THROWS_AS(std::rethrow_if_nested(error), std::domain_error);
    }
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
}

TEST_CASE("I4: a task beyond its limit that ignores SIGTERM ends", "[faults]") {
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    const auto late = pool.submit({.timeout = 20ms}, block_against_sigterm);
    CHECK_THROWS_AS(late.result(60s), futures::TaskTimeout);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("J2: a worker that dies while the pool is shut down", "[faults]") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    const auto dies = pool.submit(exit_behind, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> others;
    for (int i = 0; i < 20; ++i) {
        others.push_back(pool.submit(inc, i));
    }
    std::thread shutting_down([&] { pool.shutdown(); });
    gate.open(1);
    shutting_down.join();
    CHECK(expect_lost(dies).report().exit_code == 3);
    for (int i = 0; i < 20; ++i) {
        CHECK(others[static_cast<std::size_t>(i)].result(0s) == i + 1);
    }
}

TEST_CASE("J3: a program that ends behind shutdown(wait=false)", "[faults]") {
    const auto method = each_pool_start_method().get_start_method();
    const Gate bell;
    mp::Process program(
        {.start_method = StartMethod::fork},
        [](const std::string& path, StartMethod inner) {
            ProcessPoolExecutor pool(on(mp::get_context(inner), 2));
            pool.submit(test::ring, path);
            pool.submit(test::ring, path);
            pool.shutdown({.wait = false});
        },
        bell.path(),
        method
    );
    program.start();
    program.join();
    CHECK(program.exitcode().value_or(-1000) == 0);
    CHECK(bell.wait_for(2));
}

TEST_CASE("J5: an end by force reaches pools inside tasks", "[faults]") {
    const Gate bell;
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    const auto nested = pool.submit(nest_once, bell.path());
    REQUIRE(bell.wait_for(1));
    // The case's listener finds what is left of it.
    pool.kill_workers();
    pool.shutdown();
    CHECK_THROWS_AS(nested.result(0s), BrokenProcessPool);
}

TEST_CASE("J11: a hundred tasks while the manager is held up", "[faults]") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    pool.submit(inc, 0).add_done_callback([&](const Future<int>&) {
        ring_and_pass(bell.path(), gate.path(), 0);
    });
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit(inc, i));
    }
    gate.open(1);
    for (int i = 0; i < 100; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
}

TEST_CASE("J16: a program that ends by _exit() takes its workers along", "[faults]") {
    const auto context = each_pool_start_method();
    std::array<int, 2> ends{};
    REQUIRE(::pipe2(ends.data(), O_CLOEXEC) == 0);
    const Gate bell;
    const pid_t program = test::fork_child([&] {
        ProcessPoolExecutor pool(on(context, 1));
        pool.submit(ring_and_block, bell.path());
        bell.wait_for(1);
        const pid_t worker = pool.workers().at(0);
        _exit(::write(ends[1], &worker, sizeof worker) == sizeof worker ? 0 : 1);
        return 0;
    });
    ::close(ends[1]);
    pid_t worker = 0;
    CHECK(::read(ends[0], &worker, sizeof worker) == sizeof worker);
    ::close(ends[0]);
    CHECK(test::exit_status(program) == 0);
    CHECK(gone_within({worker}, 1s));
}

TEST_CASE("K1: two tasks a worker, and a backlog of ten", "[faults]") {
    auto options = on(each_replacing_method(), 1, OnWorkerLoss::isolate);
    options.max_tasks_per_child = 2;
    ProcessPoolExecutor pool(options);
    CHECK(pool.map(inc, numbers_to(10)).to_vector().back() == 10);
    CHECK(pool.statistics().workers_started >= 5);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("L1: an input that throws at its first item, or a later one", "[faults]") {
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    for (const int chunksize : {1, 2}) {
        for (const int at : {0, 3}) {
            Endless inputs;
            inputs.throws_at = at;
            std::vector<int> seen;
            std::string text;
            try {
                auto results = pool.map(
                    {.chunksize = chunksize, .buffersize = chunksize}, inc, inputs
                );
                for (auto it = results.begin(); it != results.end(); ++it) {
                    seen.push_back(*it);
                }
            } catch (const std::domain_error& error) {
                text = error.what();
            }
            CHECK(text == "no more");
            CHECK(seen.size() == static_cast<std::size_t>(at / chunksize * chunksize));
        }
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("L2: an input without an end", "[faults]") {
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    Endless inputs;
    int expected = 0;
    for (const int result : pool.map({.buffersize = 10}, inc, inputs)) {
        CHECK(result == ++expected);
        if (expected == 100) {
            break;
        }
    }
    CHECK(inputs.taken <= 110);
}

TEST_CASE("L8: callbacks that submit the next one, two hundred deep", "[faults]") {
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    const Future<int> end;
    std::function<void(const Future<int>&)> next = [&](const Future<int>& done) {
        if (done.result() == 200) {
            end.set_result(200);
        } else {
            pool.submit(inc, done.result()).add_done_callback(next);
        }
    };
    pool.submit(inc, 0).add_done_callback(next);
    CHECK(end.result(60s) == 200);
    pool.shutdown();
}

TEST_CASE("M4: the thread that began the workers ends, and they do not", "[faults]") {
    const test::LogCapture log;  // a fork beside this thread
    ProcessPoolExecutor pool(any_pool(OnWorkerLoss::isolate));
    std::thread([&] { pool.submit(inc, 1).result(60s); }).join();
    const auto workers = pool.workers();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    for (const pid_t worker : workers) {
        CHECK(kill(worker, 0) == 0);
    }
    CHECK(pool.statistics().workers_lost == 0);
}
