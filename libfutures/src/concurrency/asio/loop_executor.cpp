// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/loop_executor.hpp"

#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/mailbox.hpp"

#include <exception>

namespace concurrency::detail {

void Errand::arrive(Loop& loop) noexcept {
    const std::unique_ptr<Errand> self(this);
    try {
        call();
    } catch (...) {
        loop.fail(std::current_exception()
        );  // as what a handler throws in the executor
    }
}

bool LoopExecutor::is_here() const noexcept {
    const Loop* loop = Loop::running();
    return (loop != nullptr && loop->mailbox() == mailbox_) || mailbox_->is_here();
}

bool LoopExecutor::send(Letter& letter) const noexcept {
    return mailbox_->post_awaited(letter);
}

void LoopExecutor::send(std::unique_ptr<Errand> errand) const noexcept {
    if (send(*errand)) {
        static_cast<void>(errand.release());
    }
}

}  // namespace concurrency::detail
