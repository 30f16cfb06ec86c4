// SPDX-License-Identifier: BSL-1.0
// An async program that has other processes compute: results awaited, a call given up
// with its worker.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "concurrency/concurrency.hpp"

#include <unistd.h>

#include <cstdint>
#include <iostream>
#include <map>
#include <vector>

using concurrency::create_task_group;
using concurrency::OnCancel;
using concurrency::Task;
using concurrency::TaskGroup;

std::int64_t largest_factor(std::int64_t number) {
    std::int64_t largest = 1;
    for (std::int64_t factor = 2; number > 1; ++factor) {
        while (number % factor == 0) {
            number /= factor;
            largest = factor;
        }
    }
    return largest;
}

void hang() {
    for (;;) {
        ::pause();
    }
}

Task<> tick(int& ticks) {
    for (;;) {
        co_await concurrency::sleep(0.001);
        ++ticks;
    }
}

Task<> run_all(futures::ProcessPoolExecutor& pool) {
    const std::vector<std::int64_t> numbers{600851475143, 987654321, 720720};
    std::map<std::int64_t, std::int64_t> factors;
    int ticks = 0;
    co_await create_task_group([&](TaskGroup& ticking) -> Task<> {
        ticking.start_soon(tick, std::ref(ticks));
        co_await create_task_group([&](TaskGroup& group) -> Task<> {
            for (const std::int64_t number : numbers) {
                group.start_soon([&, number]() -> Task<> {
                    factors[number] =
                        co_await concurrency::run_in(pool, largest_factor, number);
                });
            }
            co_return;
        });
        ticking.cancel();
    });
    for (const std::int64_t number : numbers) {
        std::cout << "the largest prime factor of " << number << " is "
                  << factors[number] << '\n';
    }
    std::cout << "the loop went on meanwhile: " << (ticks > 0 ? "True" : "False")
              << '\n';

    const bool in_time = co_await concurrency::move_on_after(0.2, [&]() -> Task<> {
        auto future = pool.submit(hang);
        co_await concurrency::await_future(future, OnCancel::kill);
    });
    std::cout << "given up, with its worker: " << (in_time ? "False" : "True") << '\n';
    const std::int64_t next = co_await concurrency::run_in(pool, largest_factor, 35);
    std::cout << "and the next one runs: " << next << '\n';
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    futures::ProcessPoolExecutor pool(
        {.max_workers = 2, .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    concurrency::run([&] { return run_all(pool); });
}
