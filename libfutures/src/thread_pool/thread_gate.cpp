// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/thread_gate.hpp"

#include "thread_pool/thread_pool_core.hpp"

namespace futures::detail {

void ThreadGate::go_on() {
    begun_ = true;
    if (std::exception_ptr refusal = pool_->release(*work_)) {
        begun_ = false;
        work_->fail(std::move(refusal));
    }
    leave_room();
}

void ThreadGate::fail_future(std::exception_ptr exception) {
    work_->fail(std::move(exception));
    leave_room();
}

void ThreadGate::cancel_future() {
    work_->cancel_work();
    leave_room();
}

/// Its future was cancelled.
void ThreadGate::left() noexcept {
    work_->cancel_work();
    leave_room();
}

void ThreadGate::leave_with_call() noexcept {
    if (!leave()) {
        leave_room();
    }
}

/// Once: by the destruction of the call, or by what comes after it.
void ThreadGate::leave_room() noexcept {
    if (in_room_.exchange(false)) {
        pool_->waiting().remove(*this, begun_);
    }
}

}  // namespace futures::detail
