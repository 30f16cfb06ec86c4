// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/loop_task.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/running.hpp"

#include <new>
#include <utility>

namespace concurrency::detail {

void throw_awaited_before() {
    throw RuntimeError("a Task can be awaited once, and it has been");
}

LoopTask::~LoopTask() {
    Running& running = running_here();
    if (running.task == this) {
        running.task = nullptr;
    }
    while (!held_.empty()) {
        held_.pop_front().owner_ended();
    }
}

void LoopTask::start(Loop& loop, ScopeNode* scope, std::uint64_t parent) {
    loop_ = &loop;
    id_ = loop.new_task_id();
    parent_id_ = parent;
    if (const LoopTask* here = running_here().task) {
        locals_ = here->locals_;
    }
    loop.admit(*this);
    move_to(scope);
    loop.schedule(*this);
}

void LoopTask::move_to(ScopeNode* scope) noexcept {
    ScopeLink::unlink();
    scope_ = scope;
    if (scope != nullptr) {
        scope->tasks_.push_back(*this);
    }
}

void LoopTask::park(std::coroutine_handle<> frame, Wait* wait) {
    if (!loop_->is_of_this_process()) {
        throw RuntimeError("the loop was left behind by a fork: its child cannot wait "
                           "in it");
    }
    next_ = frame;
    wait_ = wait;
    parked_ = true;
}

void LoopTask::wake() noexcept {
    wait_ = nullptr;
    loop_->schedule(*this);
}

void LoopTask::abort_wait() noexcept {
    // Of an abandoned loop, the frame that it waits in may be gone.
    if (wait_ != nullptr && !loop_->is_abandoned() && wait_->abort()) {
        woken_cancelled_ = true;
        wake();
    }
}

const char* LoopTask::where() const noexcept {
    if (running_here().task == this) {
        return "running";
    }
    if (ReadyLink::linked()) {
        return "ready";
    }
    // Of an abandoned loop, as in abort_wait().
    return wait_ != nullptr && !loop_->is_abandoned() ? wait_->what() : "waiting";
}

void LoopTask::stop_loop() noexcept {
    loop_->stop();
}

void LoopTask::throw_cancelled() const {
    // The outermost scope that this task can see absorbs it, so its reason it is.
    const std::string* reason = nullptr;
    for (const ScopeNode* scope = scope_; scope != nullptr; scope = scope->parent_) {
        if (scope->called_) {
            reason = &scope->reason_;
        }
        if (scope->shield_) {
            break;
        }
    }
    Cancelled cancelled;
    try {
        if (reason != nullptr) {
            cancelled = Cancelled(*reason);
        }
    } catch (const std::bad_alloc&) {
        static_cast<void>(0);  // cancelled it is, if nobody can be told why
    }
    throw cancelled;
}

}  // namespace concurrency::detail
