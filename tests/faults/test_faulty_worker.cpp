// SPDX-License-Identifier: BSL-1.0
// A worker writes over the counters by which it tells the pool of its results. The pool
// loses that worker and its task, and no thread of the pool's process with it.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <fstream>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;

namespace {

/// Where the segment of that name is mapped in this process.
std::byte* mapping_of(const std::string& name) {
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/memfd:" + name) != std::string::npos) {
            return reinterpret_cast<std::byte*>(std::stoull(line, nullptr, 16));
        }
    }
    throw std::runtime_error("no mapping is called " + name);
}

int add(int a, int b) {
    return a + b;
}

/// In the only worker of a pool: says that it has told of so many results, and stays.
void scribble(std::uint64_t told) {
    futures::detail::BoardView board(mapping_of("mp-board"));
    board.control(0).results_written.store(told);
    for (;;) {
        ::pause();
    }
}

}  // namespace

TEST_CASE(
    "ProcessPoolExecutor: a worker that writes over its counter is lost, not the pool",
    "[faults][process_pool]"
) {
    const mp::Context context = each_pool_start_method();
    // Less than was read already, more than there are slots, and the largest number.
    const std::vector<std::uint64_t> numbers{
        0, std::uint64_t{1} << 20U, ~std::uint64_t{0}};
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1,
         .mp_context = context,
         .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    for (const std::uint64_t told : numbers) {
        REQUIRE(pool.submit(add, 1, 2).result(30s) == 3);
        auto lost = pool.submit(scribble, told);
        auto waiting = pool.submit(add, 3, 4);
        try {
            lost.result(30s);
            FAIL("the task that never ends has a result");
        } catch (const futures::WorkerLost& error) {
            CHECK_THAT(
                error.what(),
                test::ContainsSubstring("wrote over the memory that it shares")
            );
        }
        CHECK(waiting.result(30s) == 7);
    }
    CHECK(pool.statistics().workers_lost == numbers.size());
}

TEST_CASE(
    "ProcessPoolExecutor: a worker that writes over its counter breaks a pool that "
    "breaks",
    "[faults][process_pool]"
) {
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = each_pool_start_method()}
    );
    auto lost = pool.submit(scribble, ~std::uint64_t{0});
    CHECK_THROWS_AS(lost.result(30s), futures::BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(add, 1, 2), futures::BrokenProcessPool);
}
