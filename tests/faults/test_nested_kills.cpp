// SPDX-License-Identifier: BSL-1.0
// Tasks that submit tasks, in workers that die at one point of that protocol, and what
// they write over.
#include "futures/futures.hpp"

#include "faults/board_scribbling.hpp"
#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::this_pool;
using futures::detail::BoardView;
using futures::detail::LinkMemory;
using test::Gate;
using test::inc;
using test::on;

namespace {

int sum_to(int n) {
    return n == 0 ? 0 : n + this_pool().submit(sum_to, n - 1).result();
}

std::size_t length_of(const std::string& text) {
    return text.size();
}

/// Longer than the ring.
std::size_t long_in_pool(std::size_t length) {
    return this_pool().submit(length_of, std::string(length, 'x')).result();
}

std::size_t sums(int n) {
    return static_cast<std::size_t>(sum_to(n));
}

std::size_t longs(int n) {
    return long_in_pool(static_cast<std::size_t>(n) * 20'000);
}

std::size_t task_result(std::size_t (*task)(int)) {
    return task == sums ? 6 : 60'000;
}

struct Outcome {
    int values = 0;
    int lost = 0;
    std::uint64_t workers_lost = 0;
};

Outcome
with_deaths_at(const std::string& point, int workers, std::size_t (*task)(int)) {
    const test::LogCapture log;  // of forks beside the pool's thread
    test::arm({point, 3});
    Outcome outcome;
    {
        ProcessPoolExecutor pool(
            {.max_workers = workers,
             .mp_context = mp::get_context("fork"),
             .on_worker_loss = OnWorkerLoss::isolate,
             .max_blocked = 1}
        );
        std::vector<Future<std::size_t>> all;
        for (int i = 0; i < 20; ++i) {
            all.push_back(pool.submit(task, 3));
        }
        for (const auto& future : all) {
            try {
                const std::size_t value = future.result(60s);
                CHECK(value == task_result(task));
                ++outcome.values;
            } catch (const futures::WorkerLost&) {
                ++outcome.lost;
            }
        }
        outcome.workers_lost = pool.statistics().workers_lost;
        CHECK(pool.submit(test::inc, 1).result(60s) == 2);
    }
    test::arm({});
    return outcome;
}

LinkMemory& link_here() {
    const BoardView board(test::mappings_of("mp-board").at(0).data());
    return board.link(static_cast<std::uint32_t>(futures::this_task().worker_index()));
}

void hold(const std::string& bell) {
    test::ring(bell);
    for (;;) {
        ::pause();
    }
}

enum class Rubbish { count, bytes, sum, zeros, read };

/// Writes what no worker writes, and lets the parent look at it.
void write_rubbish(Rubbish rubbish, const std::string& bell) {
    this_pool().submit(inc, 1).result();
    LinkMemory& link = link_here();
    const auto at = link.asks.written.load();
    const auto size = link.asks.bytes.size();
    switch (rubbish) {
    case Rubbish::count:
        link.asks.written.store(at + (1U << 20U));
        break;
    case Rubbish::bytes:
        link.asks.bytes.fill(std::byte{0xff});
        link.asks.written.store(at + 200);
        break;
    case Rubbish::sum:
        for (std::size_t i = 0; i < 64; ++i) {
            link.asks.bytes.at((at + i) % size) = std::byte{};
        }
        link.asks.bytes.at(at % size) = std::byte{24};
        link.asks.written.store(at + 40);
        break;
    case Rubbish::zeros:
        link.asks.bytes.fill(std::byte{});
        link.asks.written.store(at + 4000);
        break;
    case Rubbish::read:
        // The worker's own reader says what is right now and then.
        std::thread([&link] {
            for (;;) {
                link.tells.read.store(std::uint64_t{1} << 40U);
            }
        }).detach();
        for (;;) {
            this_pool().submit(inc, 1).result();
        }
    }
    const auto worker = static_cast<std::uint32_t>(futures::this_task().worker_index());
    const BoardView board(test::mappings_of("mp-board").at(0).data());
    board.header().asking.word_of(worker).fetch_or(
        futures::detail::WorkerSet::bit_of(worker)
    );
    hold(bell);
}

}  // namespace

// A worker that replaces a dead one is forked beside threads: one of these may hold a
// lock of the sanitizer's then.
TEST_CASE(
    "a worker that dies as it submits to its pool, or waits for it, harms only its own "
    "tasks",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2, 8);
    for (const char* const point :
         {"link: before it asks",
          "link: asked, not rung",
          "link: bit set, not rung",
          "link: rung",
          "link: waits, not asked",
          "link: waits",
          "link: wait over"}) {
        INFO(point);
        const Outcome outcome = with_deaths_at(point, workers, sums);
        CHECK(outcome.values + outcome.lost == 20);
        CHECK(outcome.workers_lost > 0);
    }
}

TEST_CASE(
    "a worker that dies as it tells of its link loses its task, and nothing else",
    "[no-asan][no-tsan]"
) {
    const test::LogCapture log;
    test::arm({"link: before it is told of"});
    ProcessPoolExecutor pool(on(mp::get_context("fork"), 2, OnWorkerLoss::isolate));
    CHECK_THROWS_AS(pool.submit(sums, 3).result(60s), futures::WorkerLost);
    test::arm({});
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE(
    "a worker that dies as it runs on its stack what it waits for loses both, and each "
    "is told",
    "[no-asan][no-tsan]"
) {
    for (const char* const point :
         {"link: before a call on the stack", "link: behind a call on the stack"}) {
        INFO(point);
        const test::LogCapture log;
        test::arm({point});
        ProcessPoolExecutor pool(
            {.max_workers = 1,
             .mp_context = mp::get_context("fork"),
             .on_worker_loss = OnWorkerLoss::isolate,
             .max_blocked = 0}
        );
        try {
            const std::size_t value = pool.submit(sums, 1).result(60s);
            FAIL("it was not lost: " << value);
        } catch (const futures::WorkerLost& lost) {
            CHECK_THAT(lost.what(), test::ContainsSubstring("sum_to"));
            CHECK_THAT(lost.what(), test::ContainsSubstring("on its stack"));
        }
        test::arm({});
        CHECK(pool.submit(sums, 3).result(60s) == 6);
        pool.shutdown();
        const auto counts = pool.statistics();
        CHECK(counts.concluded == counts.submitted);
    }
}

TEST_CASE(
    "a worker that dies in the middle of a long call leaves nothing that is taken for "
    "one",
    "[no-asan][no-tsan]"
) {
    const int workers = GENERATE(1, 2);
    const Outcome outcome = with_deaths_at("link: waits for room", workers, longs);
    CHECK(outcome.values + outcome.lost == 20);
    CHECK(outcome.workers_lost > 0);
}

TEST_CASE("rubbish in a worker's link is that worker's end, and of nobody else") {
    const auto rubbish = GENERATE(
        Rubbish::count, Rubbish::bytes, Rubbish::sum, Rubbish::zeros, Rubbish::read
    );
    const test::LogCapture log;
    const Gate bell;
    ProcessPoolExecutor pool(on(mp::get_context("fork"), 2, OnWorkerLoss::isolate));
    const auto lost = pool.submit(write_rubbish, rubbish, bell.path());
    if (rubbish != Rubbish::read) {
        REQUIRE(bell.wait_for(1));
    }
    CHECK(pool.submit(sums, 3).result(60s) == 6);  // it asks, too
    CHECK_THROWS_AS(lost.result(60s), futures::WorkerLost);
    for (const int x : pool.map(inc, {1, 2, 3})) {
        CHECK(x > 1);
    }
    CHECK(pool.submit(sums, 3).result(60s) == 6);
}

TEST_CASE("the end of the parent is that of tasks which wait for tasks") {
    const Gate bell;
    int pids[2];
    REQUIRE(::pipe(pids) == 0);
    const pid_t parent = ::fork();
    if (parent == 0) {
        ProcessPoolExecutor pool(on(mp::get_context("fork"), 2, OnWorkerLoss::isolate));
        auto outer = pool.submit(
            [](const std::string& path) { this_pool().submit(hold, path).result(); },
            bell.path()
        );
        bell.wait_for(1);
        for (const pid_t worker : pool.workers()) {
            static_cast<void>(!::write(pids[1], &worker, sizeof worker));
        }
        ::kill(::getpid(), SIGKILL);
    }
    ::close(pids[1]);
    std::vector<pid_t> workers;
    pid_t worker = 0;
    while (::read(pids[0], &worker, sizeof worker) == sizeof worker) {
        workers.push_back(worker);
    }
    ::close(pids[0]);
    int status = 0;
    REQUIRE(::waitpid(parent, &status, 0) == parent);
    CHECK(WIFSIGNALED(status));
    CHECK(workers.size() >= 2);
    CHECK(test::gone_within(workers, 2s));
}
