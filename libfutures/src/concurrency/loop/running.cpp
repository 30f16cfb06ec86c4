// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/running.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <pthread.h>

#include <atomic>
#include <mutex>
#include <system_error>

namespace concurrency::detail {

constinit thread_local Running running_in_thread;
constinit std::atomic<std::uint64_t> fork_count{0};

void watch_forks() {
    static std::once_flag once;
    std::call_once(once, [] {
        // A fork takes the thread that called it, with the loop that it is in; the file
        // descriptors under that loop belong to the parent.
        const int error = ::pthread_atfork(nullptr, nullptr, [] { ++fork_count; });
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

[[gnu::noinline]] LoopTask& this_task() {
    const Running& running = running_here();
    if (running.task == nullptr || !running.loop->is_of_this_process()) [[unlikely]] {
        throw RuntimeError(
            "this needs a task of a loop to run in: see concurrency::run()"
        );
    }
    return *running.task;
}

}  // namespace concurrency::detail
