// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/thread_gate.hpp"

#include "thread_pool/thread_pool_core.hpp"

namespace futures::detail {

void ThreadGate::go_on() {
    pool_->release(*work_);
    pool_->waiting().remove(*this, true);
}

void ThreadGate::fail_future(std::exception_ptr exception) {
    work_->fail(std::move(exception));
    pool_->waiting().remove(*this, false);
}

void ThreadGate::cancel_future() {
    work_->cancel_work();
    pool_->waiting().remove(*this, false);
}

/// Its future was cancelled.
void ThreadGate::left() noexcept {
    work_->cancel_work();
    pool_->waiting().remove(*this, false);
}

}  // namespace futures::detail
