// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/remote_executor.hpp"

#include "mp/errors.hpp"

namespace futures::detail {

RemoteExecutorBase& RemoteExecutorBase::operator=(RemoteExecutorBase&& other) noexcept {
    if (this != &other) {
        close();
        pool_ = std::move(other.pool_);
        borrowed_ = other.borrowed_;
    }
    return *this;
}

RemoteExecutorBase::~RemoteExecutorBase() {
    close();
}

void RemoteExecutorBase::close() noexcept {
    if (pool_) {
        if (!borrowed_) {
            pool_->close();
        }
        pool_.reset();
    }
}

void RemoteExecutorBase::check_accepting() const {
    if (!pool_) {
        throw mp::StateError("this executor was moved from, or is gone");
    }
    pool_->check_accepting();
}

void RemoteExecutorBase::check_accepting(SubmitOptions& options) const {
    check_options_of_task(options);
    check_accepting();
    pool_->complete(options);
}

/// Each item gets the pool's limit when it is submitted.
MapOptions RemoteExecutorBase::with_task_timeout(MapOptions options) const {
    return pool_ && pool_->limits_each_task() ? one_by_one(options) : options;
}

void RemoteExecutorBase::fail_unsent(PoolTask& task) noexcept {
    try {
        throw_serialization_error(
            mp::SerializationPhase::encode_task, "the task " + task.label()
        );
    } catch (...) {
        task.failure = std::current_exception();
    }
    task.end = TaskEnd::failed;
    if (task.finish()) {
        task.finish_callbacks();
    }
}

}  // namespace futures::detail
