// SPDX-License-Identifier: BSL-1.0
// What tests of ProcessPoolExecutor share: a task, and the options of a pool.
#pragma once

#include "futures/process_pool.hpp"

namespace test {

inline int inc(int x) {
    return x + 1;
}

inline futures::ProcessPoolOptions
on(const mp::Context& context,
   int workers,
   futures::OnWorkerLoss loss = futures::OnWorkerLoss::break_pool) {
    futures::ProcessPoolOptions options;
    options.max_workers = workers;
    options.mp_context = context;
    options.on_worker_loss = loss;
    return options;
}

}  // namespace test
