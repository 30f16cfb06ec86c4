// SPDX-License-Identifier: BSL-1.0
// A library with pools inside a program that knows nothing of them. Its children are
// libmp-worker, which loads this library; all that they run is in it.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include <iostream>
#include <vector>

extern "C" void count_squares(const char* worker);

static int square(int x) {
    return x * x;
}

void count_squares(const char* worker) {
    mp::set_executable(worker);  // before anything is started
    for (const char* method : {"spawn", "forkserver"}) {
        futures::ProcessPoolExecutor pool(
            {.max_workers = 2, .mp_context = mp::get_context(method)}
        );
        std::cout << method << ':';
        for (const int x : pool.map(square, std::vector{1, 2, 3})) {
            std::cout << ' ' << x;
        }
        std::cout << std::endl;
    }
    mp::stop_helpers();  // this library may be unloaded now
}
