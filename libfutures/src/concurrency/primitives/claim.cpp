// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/claim.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

void check_loop(const LoopTask& task) {
    const Loop* here = Loop::running();
    if (here == nullptr) {
        task.loop().check_here();
    } else if (here != &task.loop()) {
        throw RuntimeError("a task of another loop has this, or waits for it: tasks of "
                           "different loops cannot share it");
    }
}

bool ClaimQueue::check_for_guard() noexcept {
    if (empty()) {
        return true;
    }
    const LoopTask& task = front().task();
    if (!task.loop().is_of_this_process()) {
        return false;
    }
    check_loop(task);
    return true;
}

void throw_gone() {
    throw RuntimeError("what the task waited for was destroyed");
}

}  // namespace concurrency::detail
