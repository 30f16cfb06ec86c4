// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/group_state.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

#include <new>

namespace concurrency::detail {

void GroupTask::end() noexcept {
    std::exception_ptr error = take_error();
    GroupState& group = group_;
    delete this;  // with all it holds, before the group can end
    group.ended(std::move(error));
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

void GroupState::add_error(std::exception_ptr error) noexcept {
    try {
        auto [cancellation, rest] = split_cancellation(error);
        if (cancellation && !cancellation_) {
            cancellation_ = std::move(cancellation);
        }
        if (rest) {
            errors_.push_back(std::move(rest));
        }
    } catch (const std::bad_alloc&) {
        has_lost_one_ = true;
    }
    if (!scope_.cancelled()) {
        scope_.call({});
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

std::exception_ptr GroupState::take_error() noexcept {
    // Handles that are kept keep no exception.
    std::vector<std::exception_ptr> errors = std::exchange(errors_, {});
    const std::exception_ptr cancellation = std::exchange(cancellation_, nullptr);
    if (errors.empty() && !has_lost_one_) {
        // That of a group of cancellations is one of its own.
        return !cancellation || is_cancelled(cancellation)
                   ? cancellation
                   : std::make_exception_ptr(Cancelled());
    }
    try {
        if (has_lost_one_) {
            errors.push_back(std::make_exception_ptr(std::bad_alloc()));
        }
        return make_group("unhandled errors in a TaskGroup", std::move(errors));
    } catch (const std::bad_alloc&) {
        return std::current_exception();
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

void GroupBlock::body_ended(std::exception_ptr error) noexcept {
    if (error) {
        state_->add_error(std::move(error));
    }
}

void GroupBlock::leave() {
    state_->active_ = false;
    state_->scope_.leave(state_->take_error());
}

}  // namespace concurrency::detail
