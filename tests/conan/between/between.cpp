// SPDX-License-Identifier: BSL-1.0
#include "between.hpp"

#include <futures/futures.hpp>
#include <mp/mp.hpp>

namespace {

int sum(int a, int b) {
    return a + b;
}

void exit_with_sum(int a, int b) {
    throw mp::SystemExit(sum(a, b));
}

}  // namespace

int sum_elsewhere(int a, int b) {
    mp::Process child = mp::get_context("spawn").Process(exit_with_sum, a, b);
    child.start();
    child.join();
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = mp::get_context("spawn")}
    );
    const int result = pool.submit(sum, a, b).result();
    return child.exitcode() == result ? result : 0;
}
