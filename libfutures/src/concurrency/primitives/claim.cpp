// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/claim.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

void check_loop(const LoopTask& task) {
    const Loop* here = Loop::running();
    if (here != nullptr && here != &task.loop()) {
        throw RuntimeError("a task of another loop has this, or waits for it: tasks of "
                           "different loops cannot share it");
    }
}

void throw_gone() {
    throw RuntimeError("what the task waited for was destroyed");
}

}  // namespace concurrency::detail
