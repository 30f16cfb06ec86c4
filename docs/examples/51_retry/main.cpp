// SPDX-License-Identifier: BSL-1.0
// Tasks that fail now and then: run again when they throw or their worker dies, given
// up when they kill each worker that takes them.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include <unistd.h>

#include <chrono>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <iostream>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;

struct NetworkError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const bool network_error_is_known = (mp::register_exception<NetworkError>(), true);

/// How often this was called for `path` before.
int earlier_runs(const std::string& path) {
    std::ifstream before(path, std::ios::ate);
    const int runs = before ? static_cast<int>(before.tellg()) : 0;
    std::ofstream(path, std::ios::app) << 'x';
    return runs;
}

/// Fails twice: an exception, then a crash.
int fetch(const std::string& path) {
    switch (earlier_runs(path)) {
    case 0:
        throw NetworkError("no answer");
    case 1:
        std::raise(SIGKILL);
    }
    return 42;
}

void crash() {
    std::raise(SIGKILL);
}

int negated(int n) {
    return -n;
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    char name[] = "/tmp/retry-XXXXXX";
    ::close(::mkstemp(name));

    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    const auto page = pool.submit(
        {.retries = 3,
         .retry_on = futures::retry_on<NetworkError>(),
         .retry_delay = futures::backoff(10ms, 2.0, 1s)},
        fetch,
        std::string(name)
    );
    std::cout << "fetched: " << page.result() << '\n';
    std::remove(name);

    try {
        pool.submit({.retries = 2}, crash).result();
    } catch (const futures::WorkerLost& lost) {
        std::cout << "given up after " << lost.attempts()
                  << " attempts, poison: " << (lost.is_poison() ? "yes" : "no") << '\n';
    }

    std::cout << "the pool goes on: " << pool.submit(negated, -1).result() << '\n';
}
