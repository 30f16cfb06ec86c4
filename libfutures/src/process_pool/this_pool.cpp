// SPDX-License-Identifier: BSL-1.0
#include "futures/this_pool.hpp"

#include "futures/this_task.hpp"
#include "mp/errors.hpp"

#include <stdexcept>
#include <string>

namespace futures {

namespace detail {

PoolLink& this_pool_link() {
    TaskContext* const task = task_of_this_thread();
    if (task == nullptr) {
        throw mp::StateError(
            "this_pool() is for the thread in which a process pool calls a task, and "
            "this is none"
        );
    }
    PoolLink* const link = task->pool_link();
    if (link == nullptr) {
        throw mp::StateError(
            "this_pool() is for tasks of a process pool, and this is one of a thread "
            "pool: give it the pool as an argument, std::ref(pool)"
        );
    }
    return *link;
}

void check_options_of_nested(const SubmitOptions& options) {
    check_options_of_task(options);
    if (!options.after.empty()) {
        throw std::invalid_argument(
            "submit(): a task that submits to its own pool cannot say .after: it can "
            "wait for these futures itself"
        );
    }
}

MapOptions map_options_of_nested(MapOptions options) {
    return this_pool_link().pool().limits_tasks ? one_by_one(options) : options;
}

void check_length(const PoolLink& link, std::uint64_t length) {
    if (length > link.pool().longest_call) {
        throw mp::ResourceLimitExceeded(
            "a call of " + std::to_string(length) +
            " bytes is too long for the pool, which takes " +
            std::to_string(link.pool().longest_call)
        );
    }
}

void fail_unsent(NestedCallBase& call, const TaskName& name) noexcept {
    std::exception_ptr failure;
    try {
        throw_serialization_error(
            mp::SerializationPhase::encode_task, "the task " + name.text()
        );
    } catch (...) {
        failure = std::current_exception();
    }
    if (call.settle(std::move(failure))) {
        call.finish_callbacks();
    }
}

}  // namespace detail

ThisPool this_pool() {
    detail::this_pool_link();
    return {};
}

}  // namespace futures
