// SPDX-License-Identifier: BSL-1.0
// Tasks that are run again when they throw: the part that knows exceptions. That of the
// board is in board_turns.cpp; what becomes of lost tasks, in process_pool_loss.cpp.
#include "futures/detail/process_task.hpp"
#include "mp/remote_error.hpp"

#include <utility>

namespace futures::detail {

void PoolTask::plan_retries(const SubmitOptions& options) {
    retry = std::make_unique<RetryPlan>();
    retry->on = options.retry_on;
    retry->delay = options.retry_delay;
    may_throw_again = options.retry_on && options.retries > 0;
}

void PoolTask::run_again_later() noexcept {
    if (retry && !retry->delay.is_zero()) {
        not_before = std::chrono::steady_clock::now() + retry->delay.before(failures());
    }
}

void PoolTask::keep_call(Message call) noexcept {
    retry->call = std::move(call);
}

bool PoolTask::is_to_run_again() noexcept {
    Message call = std::exchange(retry->call, {});
    if (failures() >= retries) {
        return false;  // whoever asks decodes it
    }
    try {
        mp::detail::ByteReader in(message.bytes());
        failure = mp::detail::decode_exception(in);
        if (!retry->on(failure)) {
            end = TaskEnd::failed;
            message.clear();
            return false;
        }
    } catch (...) {  // who asks the future decodes it once more, and learns why
        failure = nullptr;
        return false;
    }
    end = TaskEnd::failed;  // should there be no next time
    ++retry->thrown;
    message = std::move(call);
    run_again_later();
    return true;
}

}  // namespace futures::detail
