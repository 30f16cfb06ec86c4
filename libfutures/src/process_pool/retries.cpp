// SPDX-License-Identifier: BSL-1.0
// Tasks that are run again when they throw: the part that knows exceptions. That of the
// board is in board_turns.cpp; what becomes of lost tasks, in process_pool_loss.cpp.
#include "futures/detail/process_task.hpp"
#include "mp/remote_error.hpp"

#include <utility>

namespace futures::detail {

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
    // Else its time was up, and it ended when it was asked to.
    if (end == TaskEnd::exception && !is_retried_exception()) {
        return false;
    }
    ++retry->ended;
    message = std::move(call);
    run_again_later();
    return true;
}

/// When not, `failure` may be what it threw.
bool PoolTask::is_retried_exception() noexcept {
    if (!retry->on) {
        return false;
    }
    try {
        mp::detail::ByteReader in(message.bytes());
        failure = mp::detail::decode_exception(in);
        end = TaskEnd::failed;  // should there be no next time, too
        if (retry->on(failure)) {
            return true;
        }
        message.clear();
    } catch (...) {  // who asks the future decodes it once more, and learns why
        failure = nullptr;
        end = TaskEnd::exception;
    }
    return false;
}

}  // namespace futures::detail
