// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/group_state.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

GroupTask::GroupTask(std::shared_ptr<GroupState> group) noexcept
    : group_(std::move(group)) {}

GroupTask::~GroupTask() = default;

void GroupTask::end() noexcept {
    std::exception_ptr error = take_error();
    const std::shared_ptr<GroupState> group = group_;
    delete this;  // with all it holds, before the group can end
    group->ended(std::move(error));
}

void GroupState::check_active() const {
    if (!active_) {
        throw RuntimeError("the task group has ended, and starts no more tasks");
    }
    host_->loop().check_here();
}

void GroupState::start(std::unique_ptr<GroupTask> task, std::string_view name) {
    if (name.data() != nullptr) {
        task->set_name(std::string(name));
    }
    task->start(host_->loop(), &scope_, host_->id());
    tasks_.push_back(*task.release());
    ++pending_;
}

void GroupState::add_error(std::exception_ptr error) {
    auto [cancellation, rest] = split_cancellation(error);
    if (cancellation && !cancellation_) {
        cancellation_ = std::move(cancellation);
    }
    if (rest) {
        errors_.push_back(std::move(rest));
    }
    if (!scope_.cancelled()) {
        scope_.cancel();
    }
}

void GroupState::ended(std::exception_ptr error) noexcept {
    --pending_;
    if (error) {
        add_error(std::move(error));
    }
    if (pending_ == 0 && host_waits_) {
        host_waits_ = false;
        host_->wake();
    }
}

GroupBlock::GroupBlock(LoopTask& host) : state_(std::make_shared<GroupState>()) {
    state_->host_ = &host;
    state_->scope_.enter(host);
    state_->active_ = true;
}

GroupBlock::~GroupBlock() {
    if (!state_->active_) {
        return;
    }
    state_->active_ = false;
    while (!state_->tasks_.empty()) {
        delete &static_cast<GroupTask&>(state_->tasks_.pop_front());
    }
    state_->scope_.detach();
}

void GroupBlock::body_ended(std::exception_ptr error) {
    if (error) {
        state_->add_error(std::move(error));
    }
}

void GroupBlock::leave() {
    GroupState& state = *state_;
    state.active_ = false;
    std::exception_ptr error;
    if (!state.errors_.empty()) {
        error = make_group(
            "unhandled errors in a TaskGroup", std::exchange(state.errors_, {})
        );
    } else if (is_cancelled(state.cancellation_)) {
        error = state.cancellation_;
    } else if (state.cancellation_) {
        error = std::make_exception_ptr(Cancelled());  // a group of nothing else
    }
    // Handles that are kept keep no exception.
    state.cancellation_ = nullptr;
    state.scope_.leave(std::move(error));
}

}  // namespace concurrency::detail
