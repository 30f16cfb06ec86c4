// SPDX-License-Identifier: BSL-1.0
#include "futures/thread_pool.hpp"

#include "mp/cpu_count.hpp"
#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"

#include "thread_pool/thread_pool_core.hpp"
#include "util/demangle.hpp"

#include <algorithm>
#include <atomic>
#include <stdexcept>

namespace futures {

std::string detail::name_of_function(const void* function) {
    return mp::detail::function_name(function);
}

std::string detail::name_of_class(const std::type_info& type) {
    return mp::detail::demangled(type.name());
}

namespace {

std::ptrdiff_t default_workers() {
    return std::min(32, mp::usable_cpu_count() + 4);
}

std::string default_prefix() {
    static std::atomic<unsigned> next{0};
    return "ThreadPoolExecutor-" + std::to_string(next++);
}

std::shared_ptr<detail::ThreadPool> made(ThreadPoolOptions options) {
    const auto workers = options.max_workers.value_or(default_workers()).value();
    if (workers < 1) {
        throw std::invalid_argument(
            "max_workers must be greater than 0, not " + std::to_string(workers)
        );
    }
    if (options.thread_name_prefix.empty()) {
        options.thread_name_prefix = default_prefix();
    }
    auto pool = std::make_shared<detail::ThreadPool>(
        static_cast<std::size_t>(workers),
        std::move(options.thread_name_prefix),
        std::move(options.initializer),
        std::move(options.finalizer)
    );
    pool->register_for_exit();
    return pool;
}

}  // namespace

ThreadPoolExecutor::ThreadPoolExecutor(ThreadPoolOptions options)
    : pool_(made(std::move(options))) {}

ThreadPoolExecutor::ThreadPoolExecutor(Count max_workers)
    : ThreadPoolExecutor(ThreadPoolOptions{.max_workers = max_workers}) {}

ThreadPoolExecutor& ThreadPoolExecutor::operator=(ThreadPoolExecutor&& other) noexcept {
    if (this != &other) {
        close();
        pool_ = std::move(other.pool_);
    }
    return *this;
}

ThreadPoolExecutor::~ThreadPoolExecutor() {
    close();
}

void ThreadPoolExecutor::close() noexcept {
    if (pool_ == nullptr) {
        return;
    }
    if (!borrowed_) {
        pool_->leave();
    }
    pool_.reset();
}

void ThreadPoolExecutor::give_control(detail::Work& work, SubmitOptions& options) {
    const bool may_wait = is_retried(options) && !options.retry_delay.is_zero();
    if (options.timeout.is_forever() && options.name.empty() && options.priority == 0 &&
        !may_wait) {
        return;
    }
    if (options.priority != 0 && pool_ != nullptr) {
        pool_->allow_priorities();
    }
    auto* const control = new detail::ThreadControl(options);
    work.set_control(control);
    if (pool_ == nullptr) {
        return;
    }
    if (!control->limit.is_forever()) {
        control->timer = &pool_->timer();
    } else if (may_wait) {
        pool_->timer();
    }
}

void ThreadPoolExecutor::submit_work(detail::Work& work) {
    if (pool_ == nullptr) {
        throw mp::StateError("this ThreadPoolExecutor was moved from, or is gone");
    }
    pool_->inherit_priority(work);
    pool_->submit(work);
}

void ThreadPoolExecutor::await(detail::WaitingTask& task, detail::Work& work) {
    if (pool_ == nullptr) {
        throw mp::StateError("this ThreadPoolExecutor was moved from, or is gone");
    }
    pool_->inherit_priority(work);
    pool_->await(task);
}

void ThreadPoolExecutor::shutdown(ShutdownOptions options) {
    if (pool_ != nullptr) {
        pool_->shutdown(options);
    }
}

ThreadPoolStatistics ThreadPoolExecutor::statistics() const {
    return pool_ == nullptr ? ThreadPoolStatistics() : pool_->statistics();
}

}  // namespace futures
