// SPDX-License-Identifier: BSL-1.0
// What workers see of a variable that main has set.
#include <futures/process_pool.hpp>
#include <iostream>
#include <string>

std::string setting = "not set";

std::string what_a_worker_sees() {
    return setting;
}

int main() {
    setting = "set by main";
    for (const char* method : {"fork", "spawn", "forkserver"}) {
        futures::ProcessPoolExecutor pool({
            .max_workers = 1,
            .mp_context = mp::get_context(method),
        });
        std::cout << method << ": " << pool.submit(what_a_worker_sees).result() << '\n';
    }
}
