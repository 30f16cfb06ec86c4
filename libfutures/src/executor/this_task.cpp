// SPDX-License-Identifier: BSL-1.0
#include "futures/this_task.hpp"

#include "futures/errors.hpp"
#include "mp/detail/creator.hpp"
#include "mp/errors.hpp"

namespace futures {

namespace detail {

namespace {

thread_local const TaskSlot* slot_of_thread = nullptr;

/// The process that set it: a task may fork, and is not there then.
thread_local std::uint64_t process_of_slot = 0;

}  // namespace

TaskSlotScope::TaskSlotScope(const TaskSlot& slot) noexcept {
    slot_of_thread = &slot;
    process_of_slot = mp::detail::process_token();
}

TaskSlotScope::~TaskSlotScope() {
    slot_of_thread = nullptr;
}

TaskContext* task_of_this_thread() noexcept {
    return slot_of_thread != nullptr && process_of_slot == mp::detail::process_token()
               ? slot_of_thread->task
               : nullptr;
}

}  // namespace detail

void ThisTask::check_cancelled() const {
    if (stop_requested()) {
        throw CancelledError("the task " + name() + " was asked to stop");
    }
}

ThisTask this_task() {
    if (detail::TaskContext* const task = detail::task_of_this_thread()) {
        return ThisTask(*task);
    }
    throw mp::StateError(
        "this_task() is for the thread in which a pool calls a task, and this is none"
    );
}

}  // namespace futures
