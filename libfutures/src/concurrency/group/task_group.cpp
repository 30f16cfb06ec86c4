// SPDX-License-Identifier: BSL-1.0
// How a task that start() started and the one that waits for it find each other, and
// part.
#include "concurrency/task_group.hpp"

#include "concurrency/loop/loop.hpp"

namespace concurrency {

namespace detail {

StartWait::~StartWait() {
    if (started != nullptr) {
        *link = nullptr;
    }
}

bool StartWait::abort() noexcept {
    is_taken_down = true;
    if (started != nullptr) {
        scope->cancel();
    }
    return false;
}

void StartWait::check() const {
    if (error) {
        auto [cancellation, rest] = split_cancellation(error);
        if (rest) {
            std::rethrow_exception(rest);
        }
        // Else the task's group was cancelled, and this task was not. A shield that was
        // put up since takes nothing back.
        if (is_taken_down || task().cancel_pending()) {
            std::rethrow_exception(error);
        }
    } else if (has_value) {
        return;
    }
    throw RuntimeError("the task ended without calling started()");
}

StartWait* TaskStatusBase::mark_started() {
    if (is_ignored_) {
        return nullptr;
    }
    task_->loop().check_here();
    if (is_started_) {
        throw RuntimeError("started() was called twice");
    }
    is_started_ = true;
    return wait_;
}

void TaskStatusBase::release() {
    wait_->has_value = true;
    if (wait_->is_taken_down) {
        return;
    }
    StartWait& wait = *std::exchange(wait_, nullptr);
    wait.started = nullptr;
    task_->set_parent_id(task_->group().host().id());
    wait.task().wake();
}

}  // namespace detail

TaskStatus<void>& TaskStatus<void>::ignored() noexcept {
    struct Ignored : TaskStatus<void> {
        Ignored() noexcept { is_ignored_ = true; }
    };

    static Ignored status;
    return status;
}

}  // namespace concurrency
