// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/process_task.hpp"
#include "futures/errors.hpp"
#include "mp/errors.hpp"

#include "util/number_text.hpp"

namespace futures::detail {

std::span<std::byte> CallStore::grow(std::span<const std::byte> written, Room room) {
    block_ = pool_.grow_call(block_, written, room);
    return block_.bytes();
}

GivenToPool::GivenToPool(const RemotePool& pool) noexcept
    : scope_(pool.given(), pool.not_given_text()) {}

PoolTask::PoolTask(std::shared_ptr<RemotePool> pool, TaskName task_name) noexcept
    : name(task_name), pool_(std::move(pool)), board_(pool_->task_board()) {}

std::string PoolTask::label() const {
    return control != nullptr && !control->name.empty() ? control->name : name.text();
}

std::exception_ptr PoolTask::timeout_error(const std::string& how) const {
    return std::make_exception_ptr(TaskTimeout(
        "the task " + label() + " ran longer than its limit of " +
        mp::detail::seconds_text(control->limit.duration()) + ": " + how
    ));
}

void PoolTask::settle_stop() noexcept {
    if (stop == TaskStop::cancelled || end == TaskEnd::stopped) {
        pool_->note_stopped(*this);
    }
    if (stop == TaskStop::cancelled) {
        message.clear();
        failure = nullptr;
        end = TaskEnd::cancelled;
    } else if (end == TaskEnd::stopped) {
        message.clear();
        end = TaskEnd::failed;
        try {
            failure = timeout_error("it ended when it was asked to");
        } catch (...) {
            failure = std::current_exception();
        }
    }
}

StopAnswer PoolTask::stop_running() {
    return pool_->stop(*this);
}

void throw_serialization_error(mp::SerializationPhase phase, const std::string& task) {
    const auto name = [&] {
        switch (phase) {
        case mp::SerializationPhase::encode_task:
            return task + " could not be encoded";
        case mp::SerializationPhase::decode_task:
            return task + " could not be decoded by its worker";
        case mp::SerializationPhase::encode_result:
            return "the result of " + task + " could not be encoded by its worker";
        default:
            return "the result of " + task + " could not be decoded";
        }
    };
    try {
        throw;
    } catch (const mp::BinaryMismatch&) {
        throw;
    } catch (const mp::SystemExit&) {
        throw;
    } catch (const std::exception& error) {
        std::throw_with_nested(
            mp::SerializationError(phase, name() + ": " + error.what())
        );
    } catch (...) {
        std::throw_with_nested(
            mp::SerializationError(phase, name() + ": unknown exception")
        );
    }
}

}  // namespace futures::detail
