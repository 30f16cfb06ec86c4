// SPDX-License-Identifier: BSL-1.0
#include "futures/this_task.hpp"

#include "futures/errors.hpp"
#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"

#include <utility>

namespace futures {

namespace detail {

namespace {

thread_local TaskContext* running_task = nullptr;

/// The process that set it: a task may fork, and is not there then.
thread_local std::uint64_t running_in = 0;

}  // namespace

TaskContext* current_task() noexcept {
    if (running_task != nullptr && running_in == mp::detail::process_token()) {
        return running_task;
    }
    return nullptr;
}

TaskScope::TaskScope(TaskContext* task) noexcept
    : before_(std::exchange(running_task, task)) {
    running_in = mp::detail::process_token();
}

TaskScope::~TaskScope() {
    running_task = before_;
}

}  // namespace detail

void ThisTask::check_cancelled() const {
    if (stop_requested()) {
        throw CancelledError("the task " + name() + " was asked to stop");
    }
}

ThisTask this_task() {
    if (detail::TaskContext* const task = detail::current_task()) {
        return ThisTask(*task);
    }
    throw mp::StateError(
        "this_task() is for the thread in which a pool calls a task, and this is none"
    );
}

}  // namespace futures
