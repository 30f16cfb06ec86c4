// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/waiting_task.hpp"

#include "future/dependency_walk.hpp"
#include "util/diagnostics.hpp"

#include <cstddef>
#include <string>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

// WaitingTask

void WaitingTask::fail(std::exception_ptr exception) {
    if (decide()) {
        unhook();
        fail_future(std::move(exception));
    }
}

void WaitingTask::cancel() {
    if (decide()) {
        unhook();
        cancel_future();
    }
}

void WaitingTask::stop(Obstacle obstacle) {
    if (obstacle.kind == Obstacle::Kind::cancelled) {
        cancel_future();
    } else {
        fail_future(dependency_error(obstacle));
    }
}

// WaitingRoom

bool WaitingRoom::add(WaitingTask& task) noexcept {
    const MutexLock lock(mutex_);
    if (closed_) {
        return false;
    }
    task.room_next_ = first_;
    if (first_ != nullptr) {
        first_->room_previous_ = &task;
    }
    first_ = &task;
    size_.fetch_add(1);
    return true;
}

void WaitingRoom::remove(WaitingTask& task, bool begun) noexcept {
    if (!creator_.is_here()) {
        return;  // in a forked child another thread may seem to have the mutex
    }
    bool emptied = false;
    {
        const MutexLock lock(mutex_);
        (task.room_previous_ != nullptr ? task.room_previous_->room_next_ : first_) =
            task.room_next_;
        if (task.room_next_ != nullptr) {
            task.room_next_->room_previous_ = task.room_previous_;
        }
        if (!begun) {
            ended_.fetch_add(1);
        }
        emptied = size_.fetch_sub(1) == 1 && closed_;
    }
    if (emptied) {
        emptied_();
    }
}

void WaitingRoom::close() noexcept {
    const MutexLock lock(mutex_);
    closed_ = true;
}

void WaitingRoom::open() noexcept {
    const MutexLock lock(mutex_);
    closed_ = false;
}

std::vector<DependenciesPtr<WaitingTask>> WaitingRoom::all() const {
    std::vector<DependenciesPtr<WaitingTask>> tasks;
    const MutexLock lock(mutex_);
    tasks.reserve(size_.load());
    for (WaitingTask* task = first_; task != nullptr; task = task->room_next_) {
        task->keep();
        tasks.emplace_back(task);
    }
    return tasks;
}

void WaitingRoom::cancel_all() {
    for (const auto& task : all()) {
        task->cancel();
    }
}

void WaitingRoom::fail_all(const std::function<std::exception_ptr()>& make) {
    for (const auto& task : all()) {
        task->fail(make());
    }
}

namespace {

/// What waits for a future made by hand, itself or by what then() and the like make of
/// it; not by another task, which counts itself.
class HandMade final : public DependencyVisitor {
public:
    bool visit_hand_made() override {
        found = true;
        return true;
    }

    bool goes_into(const Dependencies& dependent) override {
        return !std::exchange(begun_, true) || !dependent.is_task();
    }

    bool found = false;

private:
    bool begun_ = false;
};

}  // namespace

void WaitingRoom::warn_of_hand_made(const char* who) const noexcept {
    try {
        std::size_t count = 0;
        for (const auto& task : all()) {
            HandMade hand_made;
            DependencyWalk walk;
            walk.visit(*task, hand_made);
            count += hand_made.found ? 1U : 0U;
        }
        if (count != 0) {
            mp::detail::log_warning(
                std::string(who) + " waits for " + std::to_string(count) +
                " tasks that depend on futures made by hand, which are not done"
            );
        }
    } catch (...) {
        static_cast<void>(0);  // no memory for a warning
    }
}

}  // namespace futures::detail
