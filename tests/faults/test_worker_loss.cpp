// SPDX-License-Identifier: BSL-1.0
// Workers that die: what a pool loses, what it keeps, and how soon it says so. The
// cases: docs/faults.md.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/patience.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <random>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using futures::WorkerLost;
using mp::Context;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using Clock = std::chrono::steady_clock;

namespace {

std::uint32_t work(std::uint32_t x) {
    std::uint32_t value = x;
    for (int i = 0; i < 200; ++i) {
        value = value * 3 + 1;
        asm volatile("" : "+r"(value));
    }
    return x * 2;
}

int wait_here(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    return 1;
}

void die_by(int signal_number) {
    signal(signal_number, SIG_DFL);
    raise(signal_number);
}

void write_to_nowhere() {
    volatile int* nowhere = nullptr;
    static_cast<void>(*nowhere);
}

void leave_with(int code) {
    std::exit(code);
}

/// Kills another worker of its pool, or itself.
int kill_a_friend(std::vector<pid_t> friends, unsigned choice) {
    kill(friends[choice % friends.size()], SIGKILL);
    return 1;
}

ProcessPoolOptions isolating(const Context& context, int workers) {
    return test::on(context, workers, OnWorkerLoss::isolate);
}

template <class T>
WorkerLost expect_lost(const Future<T>& future) {
    try {
        future.result(60s);
    } catch (const WorkerLost& error) {
        return error;
    }
    FAIL("no WorkerLost");
    std::abort();
}

/// Submits `tasks` tasks while a worker is killed now and then, `kills` times.
void lose_workers(const Context& context, std::uint32_t tasks, std::uint64_t kills) {
    ProcessPoolExecutor pool(isolating(context, 4));
    std::atomic<bool> over{false};
    std::atomic<std::uint64_t> sent{0};
    std::thread killer([&] {
        std::mt19937 random(7);
        while (!over) {
            const auto workers = pool.workers();
            if (!workers.empty() && sent < kills) {
                sent += kill(workers[random() % workers.size()], SIGKILL) == 0;
            }
            std::this_thread::sleep_for(std::chrono::microseconds(random() % 3000));
        }
    });
    std::uint64_t delivered = 0;
    std::uint64_t lost = 0;
    std::uint64_t wrong = 0;
    const auto settle = [&](std::vector<Future<std::uint32_t>>& futures,
                            std::uint32_t at) {
        for (auto& future : futures) {
            try {
                wrong += future.result(60s) != 2 * at;
                ++delivered;
            } catch (const WorkerLost&) {
                ++lost;
            }
            ++at;
        }
    };
    std::uint32_t next = 0;
    while (next < tasks || pool.statistics().workers_lost < kills) {
        std::vector<Future<std::uint32_t>> futures;
        for (std::uint32_t i = 0; i < 2000; ++i) {
            futures.push_back(pool.submit(work, next + i));
        }
        settle(futures, next);
        next += 2000;
        if (sent >= kills && next >= tasks) {
            break;
        }
    }
    over = true;
    killer.join();
    pool.shutdown();
    const auto statistics = pool.statistics();
    CAPTURE(sent, next, delivered, lost, statistics.tasks_given_back);
    CHECK(wrong == 0);
    CHECK(delivered + lost == next);
    CHECK(lost <= statistics.workers_lost);
    CHECK(lost == statistics.tasks_lost);
}

}  // namespace

TEST_CASE(
    "C3 C7 C8 C9 C10: isolate: only the running task is lost, and the error says how",
    "[faults]"
) {
    ProcessPoolExecutor pool(isolating(each_pool_start_method(), GENERATE(1, 2, 8)));
    for (const int signal_number : {SIGKILL, SIGTERM, SIGFPE, SIGILL, SIGABRT}) {
        const auto error = expect_lost(pool.submit(die_by, signal_number));
        CHECK(error.report().signal == signal_number);
        CHECK_THAT(error.report().task, test::ContainsSubstring("die_by"));
        CHECK_THAT(error.what(), test::ContainsSubstring("killed by signal"));
        CHECK_THAT(
            error.what(), test::ContainsSubstring(std::to_string(error.report().pid))
        );
        CHECK_THAT(error.what(), test::ContainsSubstring(error.report().worker));
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    for (const int code : {0, 42}) {
        const auto error = expect_lost(pool.submit(leave_with, code));
        CHECK(error.report().exit_code == code);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
}

// The sanitizer ends a program at such a read before the kernel does.
TEST_CASE("C3: a crash report has the address and the stack", "[faults][no-asan]") {
    ProcessPoolExecutor pool(isolating(mp::get_context(StartMethod::forkserver), 1));
    const auto error = expect_lost(pool.submit(write_to_nowhere));
    CHECK(error.report().signal == SIGSEGV);
    CHECK(error.report().fault_address == 0);
    CHECK(!error.report().stack.empty());
}

TEST_CASE("C13: isolate: the other tasks finish", "[faults]") {
    ProcessPoolExecutor pool(isolating(each_pool_start_method(), GENERATE(2, 8)));
    const Gate bell;
    const Gate gate;
    const auto doomed = pool.submit(wait_here, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    std::vector<Future<int>> others;
    for (int i = 0; i < 99; ++i) {
        others.push_back(pool.submit(inc, i));
    }
    for (int i = 0; i < 99; ++i) {
        CHECK(others[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGKILL);
    }
    expect_lost(doomed);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C14: workers that kill each other", "[faults]") {
    const int workers = GENERATE(1, 2, 5, 8, 13);
    ProcessPoolExecutor pool(
        isolating(mp::get_context(StartMethod::forkserver), workers)
    );
    for (unsigned round = 0; round < 5; ++round) {
        pool.submit(inc, 1).result(60s);
        std::vector<Future<int>> futures;
        for (unsigned i = 0; i < 10; ++i) {
            futures.push_back(pool.submit(kill_a_friend, pool.workers(), i));
        }
        for (const auto& future : futures) {
            future.exception(60s);
        }
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C15: all workers killed at the same instant", "[faults]") {
    const auto context = each_pool_start_method();
    const int workers = GENERATE(1, 2, 8);
    ProcessPoolExecutor pool(isolating(context, workers));
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> running;
    for (int i = 0; i < workers; ++i) {
        running.push_back(pool.submit(wait_here, bell.path(), gate.path()));
    }
    REQUIRE(bell.wait_for(static_cast<std::size_t>(workers)));
    std::vector<Future<int>> queued;
    for (int i = 0; i < 100; ++i) {
        queued.push_back(pool.submit(inc, i));
    }
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGKILL);
    }
    for (const auto& future : running) {
        expect_lost(future);
    }
    for (int i = 0; i < 100; ++i) {
        CHECK(queued[static_cast<std::size_t>(i)].result(60s) == i + 1);
    }
}

TEST_CASE("C16: retries: run again, and given up at last", "[faults]") {
    ProcessPoolExecutor pool(isolating(mp::get_context(StartMethod::forkserver), 1));
    const auto error = expect_lost(pool.submit({.retries = 2}, die_by, SIGKILL));
    CHECK_THAT(error.what(), test::ContainsSubstring("2 earlier attempts"));
    CHECK(pool.statistics().workers_lost == 3);
    // The first attempt is killed from outside, the second one finishes.
    const Gate bell;
    const Gate gate;
    const auto future =
        pool.submit({.retries = 1}, wait_here, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    kill(pool.workers().at(0), SIGKILL);
    REQUIRE(bell.wait_for(1));
    gate.open(1);
    CHECK(future.result(60s) == 1);
}

TEST_CASE("C25: a stopped worker swallows nothing", "[faults]") {
    ProcessPoolExecutor pool(isolating(each_pool_start_method(), 2));
    const Gate bell;
    const Gate gate;
    auto one = pool.submit(wait_here, bell.path(), gate.path());
    auto two = pool.submit(wait_here, bell.path(), gate.path());
    REQUIRE(bell.wait_for(2));
    const auto workers = pool.workers();
    gate.open(2);
    one.result(60s);
    two.result(60s);
    kill(workers.at(0), SIGSTOP);
    for (int i = 0; i < 200; ++i) {
        REQUIRE(pool.submit(inc, i).result(60s) == i + 1);
    }
    // Shutting down continues it.
}

TEST_CASE("G4: a worker killed while idle is replaced, no future fails", "[faults]") {
    ProcessPoolExecutor pool(isolating(each_pool_start_method(), GENERATE(1, 2, 8)));
    for (int i = 0; i < 5; ++i) {
        CHECK(pool.submit(inc, i).result(60s) == i + 1);
        for (const pid_t worker : pool.workers()) {
            kill(worker, SIGKILL);
        }
    }
    CHECK(pool.submit(inc, 5).result(60s) == 6);
}

TEST_CASE("Random kills lose only running tasks", "[faults]") {
    lose_workers(each_pool_start_method(), 20'000, 20);
}

TEST_CASE(
    "A thousand kills in 10^5 tasks lose only running tasks", "[faults][.stress]"
) {
    lose_workers(each_pool_start_method(), 100'000, 1000);
}

TEST_CASE("break_pool: every pending future ends, soon", "[faults]") {
    ProcessPoolExecutor pool(
        test::on(each_pool_start_method(), 2, OnWorkerLoss::break_pool)
    );
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> all;
    for (int i = 0; i < 3000; ++i) {
        all.push_back(pool.submit(wait_here, bell.path(), gate.path()));
    }
    REQUIRE(bell.wait_for(2));
    const auto workers = pool.workers();
    const auto begin = Clock::now();
    kill(workers.at(0), SIGKILL);
    std::uint64_t broken = 0;
    for (const auto& future : all) {
        try {
            future.result(60s);
        } catch (const BrokenProcessPool&) {
            ++broken;
        }
    }
    const auto took = Clock::now() - begin;
    CHECK(broken == 3000);
    CHECK(took < test::patience(1s));
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
    CHECK(gone_within(workers, 1s));
}

TEST_CASE("J8: two threads shut down, a third submits", "[faults]") {
    for (int round = 0; round < 10; ++round) {
        ProcessPoolExecutor pool(isolating(quick_pool_context(), 2));
        pool.submit(inc, 0).result(60s);
        std::atomic<std::uint64_t> accepted{0};
        std::atomic<std::uint64_t> finished{0};
        std::thread submitter([&] {
            try {
                for (int i = 0;; ++i) {
                    auto future = pool.submit(inc, i);
                    ++accepted;
                    finished += future.result(60s) == i + 1;
                }
            } catch (const mp::StateError&) {
            }
        });
        while (accepted < 20) {
            std::this_thread::yield();
        }
        std::thread other([&] { pool.shutdown(); });
        pool.shutdown();
        other.join();
        submitter.join();
        CHECK(accepted == finished);
    }
}

TEST_CASE("J7: shutdown from a callback does not wait for itself", "[faults]") {
    ProcessPoolExecutor pool(isolating(each_pool_start_method(), 1));
    const Gate bell;
    const Gate gate;
    const auto future = pool.submit(test::pass, gate.path());
    future.add_done_callback([&](const auto&) {
        pool.shutdown();
        test::ring(bell.path());
    });
    gate.open(1);
    REQUIRE(bell.wait_for(1));
    CHECK_THROWS_AS(pool.submit(inc, 1), mp::StateError);
}

TEST_CASE("An executor may be destroyed in a callback of its own", "[faults]") {
    // In a process of its own: the manager thread is joined when that exits.
    mp::Process child({.start_method = StartMethod::fork}, [] {
        auto pool =
            std::make_unique<ProcessPoolExecutor>(isolating(quick_pool_context(), 1));
        Future<void> destroyed;
        const Gate gate;
        auto future = pool->submit(test::pass, gate.path());
        future.add_done_callback([&pool, destroyed](const Future<void>&) mutable {
            pool.reset();
            destroyed.set_result();
        });
        gate.open(1);
        destroyed.result();
    });
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
}

TEST_CASE("H12 H2: an initializer that crashes does not respawn for ever", "[faults]") {
    ProcessPoolOptions options = isolating(mp::get_context(StartMethod::forkserver), 1);
    options.initializer = mp::call(die_by, SIGKILL);
    ProcessPoolExecutor pool(options);
    const auto future = pool.submit(inc, 1);
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
    CHECK(pool.statistics().workers_lost < 20);
}

TEST_CASE("G9: memory of a worker stays flat over many tasks", "[faults]") {
    const auto resident = [] {
        std::ifstream file("/proc/self/statm");
        std::size_t total = 0;
        std::size_t pages = 0;
        file >> total >> pages;
        return pages;
    };
    ProcessPoolExecutor pool(isolating(quick_pool_context(), 1));
    const auto many = [&](int count) {
        for (int i = 0; i < count; ++i) {
            std::vector<Future<int>> futures;
            for (int j = 0; j < 1000; ++j) {
                futures.push_back(pool.submit(inc, j));
            }
            for (auto& future : futures) {
                future.result();
            }
        }
    };
    many(5);
    const auto before = pool.submit(resident).result();
    many(20);
    const auto after = pool.submit(resident).result();
    CHECK(after <= before + 256);
}
