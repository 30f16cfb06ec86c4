// SPDX-License-Identifier: BSL-1.0
// A call brings its worker down. The pool and its other calls go on.
#include <cstdlib>
#include <futures/process_pool.hpp>
#include <iostream>
#include <vector>

int fragile(int number) {
    if (number == 2) {
        std::abort();  // as a bug in some library would
    }
    return number * 100;
}

int main() {
    futures::ProcessPoolExecutor pool({
        .max_workers = 2,
        .on_worker_loss = futures::OnWorkerLoss::isolate,
    });
    std::vector<futures::Future<int>> results;
    for (const int number : {1, 2, 3}) {
        results.push_back(pool.submit(fragile, number));
    }
    for (const futures::Future<int>& result : results) {
        try {
            std::cout << result.result() << '\n';
        } catch (const futures::WorkerLost& lost) {
            std::cout << "lost by signal " << *lost.report().signal << '\n';
        }
    }
}
