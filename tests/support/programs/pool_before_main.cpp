// SPDX-License-Identifier: BSL-1.0
// A program whose static initialiser makes a pool, and with POOL_USED_EARLY in the
// environment uses it, too. POOL_METHOD says how workers are started.
#include "futures/process_pool.hpp"
#include "mp/spawn.hpp"

#include <cstdio>
#include <cstdlib>
#include <exception>

namespace {

int next(int x) {
    return x + 1;
}

futures::ProcessPoolExecutor
    pool({.max_workers = 2, .mp_context = mp::get_context(std::getenv("POOL_METHOD"))});

/// 0, or what the program is to exit with.
int use(int x) {
    try {
        std::printf("%d\n", pool.submit(next, x).result());
        return 0;
    } catch (const std::exception& error) {
        std::printf("%s\n", error.what());
        return 10;
    }
}

const int early = std::getenv("POOL_USED_EARLY") != nullptr ? use(1) : 0;

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    return early != 0 ? early : use(122);
}
