// SPDX-License-Identifier: BSL-1.0
#include "futures/process_pool.hpp"

#include "mp/errors.hpp"

#include "process_pool/process_pool_core.hpp"
#include "util/number_text.hpp"

#include <signal.h>

namespace futures {

namespace detail {

// ---- PoolTask

std::span<std::byte> CallStore::grow(std::span<const std::byte> written, Room room) {
    block_ = moved_to_larger_block(
        pool_.calls(),
        written,
        room,
        [&] { block_.reset(); },
        [](const Block& block) { return block.bytes().data(); }
    );
    return block_.bytes();
}

GivenToPool::GivenToPool(const ProcessPool& pool) noexcept
    : scope_(
          pool.given(),
          " is an argument of a task only where the pool was given it before: name it "
          "in ProcessPoolOptions, .shared = {queue, lock}, or as an argument of the "
          "pool's initializer"
      ) {}

PoolTask::PoolTask(std::shared_ptr<ProcessPool> pool, TaskName task_name) noexcept
    : name(task_name), pool_(std::move(pool)), board_(pool_->board()) {}

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

}  // namespace detail

ProcessPoolExecutor::ProcessPoolExecutor(ProcessPoolOptions options)
    : pool_(std::make_shared<detail::ProcessPool>(std::move(options))) {}

ProcessPoolExecutor::ProcessPoolExecutor(Count max_workers)
    : ProcessPoolExecutor(ProcessPoolOptions{.max_workers = max_workers}) {}

ProcessPoolExecutor& ProcessPoolExecutor::operator=(ProcessPoolExecutor&& other
) noexcept {
    if (this != &other) {
        close();
        pool_ = std::move(other.pool_);
    }
    return *this;
}

ProcessPoolExecutor::~ProcessPoolExecutor() {
    close();
}

void ProcessPoolExecutor::close() noexcept {
    if (pool_) {
        if (!borrowed_) {
            pool_->close();
        }
        pool_.reset();
    }
}

void ProcessPoolExecutor::check_accepting() const {
    if (!pool_) {
        throw mp::StateError("this ProcessPoolExecutor was moved from, or is gone");
    }
    pool_->check_accepting();
}

void ProcessPoolExecutor::check_accepting(SubmitOptions& options) const {
    detail::check_options_of_task(options);
    check_accepting();
    pool_->complete(options);
}

/// Each item gets the pool's limit when it is submitted.
MapOptions ProcessPoolExecutor::with_task_timeout(MapOptions options) const {
    const bool limits = pool_ && !pool_->task_timeout().is_forever();
    return limits ? detail::one_by_one(options) : options;
}

void ProcessPoolExecutor::submit_call(
    detail::PoolTask& task, std::span<const std::byte> call, bool is_to_fit
) {
    if (is_to_fit && pool_->memory_limit(task)) [[unlikely]] {
        try {
            pool_->check_size(task, call);
        } catch (const mp::ResourceLimitExceeded&) {
            task.message.clear();
            task.failure = std::current_exception();
            fail(task);
            return;
        }
    }
    pool_->submit(task, call);
}

void ProcessPoolExecutor::await(detail::WaitingTask& task) {
    pool_->await(task);
}

void ProcessPoolExecutor::fail_unsent(detail::PoolTask& task) noexcept {
    try {
        detail::throw_serialization_error(
            mp::SerializationPhase::encode_task, "the task " + task.label()
        );
    } catch (...) {
        task.failure = std::current_exception();
    }
    fail(task);
}

void ProcessPoolExecutor::fail(detail::PoolTask& task) noexcept {
    task.end = detail::TaskEnd::failed;
    if (task.finish()) {
        task.finish_callbacks();
    }
}

// One that was moved from has no workers, and nothing to end.

void ProcessPoolExecutor::shutdown(ShutdownOptions options) {
    if (pool_) {
        pool_->shutdown(options);
    }
}

void ProcessPoolExecutor::terminate_workers() {
    if (pool_) {
        pool_->force_shutdown(SIGTERM);
    }
}

void ProcessPoolExecutor::kill_workers() {
    if (pool_) {
        pool_->force_shutdown(SIGKILL);
    }
}

void ProcessPoolExecutor::resize(Count max_workers) {
    check_accepting();
    pool_->resize(max_workers);
}

void ProcessPoolExecutor::bootup() {
    check_accepting();
    pool_->bootup();
}

void ProcessPoolExecutor::reset() {
    if (!pool_) {
        throw mp::StateError("this ProcessPoolExecutor was moved from, or is gone");
    }
    pool_->reset();
}

std::vector<pid_t> ProcessPoolExecutor::workers() const {
    return pool_ ? pool_->worker_pids() : std::vector<pid_t>();
}

ProcessPoolStatistics ProcessPoolExecutor::statistics() const {
    return pool_ ? pool_->statistics() : ProcessPoolStatistics();
}

}  // namespace futures
