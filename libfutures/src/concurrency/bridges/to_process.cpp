// SPDX-License-Identifier: BSL-1.0
#include "concurrency/to_process.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

futures::ProcessPoolExecutor& processes_of(LoopTask& task) {
    return Bridge::of(task.loop()).processes();
}

}  // namespace concurrency::detail
