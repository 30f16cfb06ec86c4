// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/running.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <system_error>

namespace concurrency::detail {

namespace {

std::atomic<std::uint64_t> generation{0};

}  // namespace

[[gnu::noinline]] Running& running_here() noexcept {
    thread_local Running running;
    return running;
}

std::uint64_t fork_generation() noexcept {
    // order: none needed, it changes only in the child of a fork, which has one thread.
    return generation.load(std::memory_order_relaxed);
}

void watch_forks() {
    static std::once_flag once;
    std::call_once(once, [] {
        // A fork takes the thread that called it, with the loop that it is in; the file
        // descriptors under that loop belong to the parent.
        const int error = ::pthread_atfork(nullptr, nullptr, [] { ++generation; });
        if (error != 0) {
            throw std::system_error(error, std::generic_category(), "pthread_atfork");
        }
    });
}

[[gnu::noinline]] LoopTask* running_task() noexcept {
    const Running& running = running_here();
    return running.task != nullptr && running.loop->is_of_this_process() ? running.task
                                                                         : nullptr;
}

LoopTask& this_task() {
    LoopTask* task = running_task();
    if (task == nullptr) {
        throw RuntimeError(
            "this needs a task of a loop to run in: see concurrency::run()"
        );
    }
    return *task;
}

}  // namespace concurrency::detail
