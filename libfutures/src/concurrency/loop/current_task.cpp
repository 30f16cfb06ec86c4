// SPDX-License-Identifier: BSL-1.0
#include "concurrency/current_task.hpp"

#include "concurrency/detail/loop_task.hpp"

namespace concurrency {

TaskInfo::TaskInfo(const detail::LoopTask& task)
    : id_(task.id()), name_(task.name()), where_(task.where()) {
    if (task.parent_id() != 0) {
        parent_id_ = task.parent_id();
    }
}

TaskInfo current_task() {
    return TaskInfo(detail::this_task());
}

}  // namespace concurrency
