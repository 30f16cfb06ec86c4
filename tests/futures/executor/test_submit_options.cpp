// SPDX-License-Identifier: BSL-1.0
#include "futures/process_pool.hpp"
#include "futures/submit_options.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <stdexcept>

using namespace std::chrono_literals;

namespace {

int total(int a, int b) {
    return a + b;
}

}  // namespace

TEST_CASE("SubmitOptions: both pools take them before the call", "[executor]") {
    futures::ThreadPoolExecutor threads(1);
    CHECK(threads.submit({}, total, 1, 2).result() == 3);
    CHECK(threads.submit(futures::SubmitOptions(), total, 1, 2).result() == 3);
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = quick_pool_context()}
    );
    CHECK(pool.submit({.retries = 1}, total, 1, 2).result() == 3);
}

TEST_CASE(
    "SubmitOptions: what a thread cannot have is an invalid argument, and nothing runs",
    "[executor]"
) {
    futures::ThreadPoolExecutor threads(1);
    CHECK_THROWS_AS(
        threads.submit({.kill_after = 1s}, total, 1, 2), std::invalid_argument
    );
    CHECK_THROWS_AS(
        threads.submit({.timeout = 0s}, total, 1, 2), std::invalid_argument
    );
    CHECK_THROWS_AS(threads.submit({.retries = 1}, total, 1, 2), std::invalid_argument);
    CHECK(threads.statistics().submitted == 0);
}
