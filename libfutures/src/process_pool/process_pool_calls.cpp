// SPDX-License-Identifier: BSL-1.0
// What becomes of a task's call before it stands on the board: its memory, its limits,
// what it may take along.
#include "mp/errors.hpp"

#include "process_pool/process_pool_core.hpp"

namespace futures::detail {

void ProcessPool::note_limits(PoolTask& task) {
    task.keep_message =
        options_.on_worker_loss == OnWorkerLoss::retry ||
        (options_.on_worker_loss == OnWorkerLoss::isolate && task.retries > 0);
    if (task.retry) {
        task.keep_message = task.keep_message || task.may_throw_again;
        if (!task.retry->delay.is_zero()) {
            manager_.watch_delays();
        }
    }
    if (task.has_limit()) {
        task.keep_message = task.keep_message || task.retries > 0;
        watching_ = true;
    }
    if (task.retries > 0 && (task.limits || options_.limits.any())) {
        task.keep_message = true;
    }
}

const std::optional<std::uint64_t>& ProcessPool::memory_limit(const PoolTask& task
) const noexcept {
    return task.limits && task.limits->memory ? task.limits->memory
                                              : options_.limits.memory;
}

Block ProcessPool::grow_call(
    Block& block, std::span<const std::byte> written, mp::detail::ByteStore::Room room
) {
    return moved_to_larger_block(
        *calls_,
        written,
        room,
        [&] { block.reset(); },
        [](const Block& larger) { return larger.bytes().data(); }
    );
}

const char* ProcessPool::not_given_text() const noexcept {
    return " is an argument of a task only where the pool was given it before: name it "
           "in ProcessPoolOptions, .shared = {queue, lock}, or as an argument of the "
           "pool's initializer";
}

void ProcessPool::submit_call(
    PoolTask& task, std::span<const std::byte> call, bool a_chunk
) {
    if (!a_chunk && memory_limit(task)) [[unlikely]] {
        try {
            check_size(task, call);
        } catch (const mp::ResourceLimitExceeded&) {
            task.message.clear();
            task.failure = std::current_exception();
            task.end = TaskEnd::failed;
            if (task.finish()) {
                task.finish_callbacks();
            }
            return;
        }
    }
    submit(task, call);
}

}  // namespace futures::detail
