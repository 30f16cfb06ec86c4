// SPDX-License-Identifier: BSL-1.0
#include "concurrency/from_thread.hpp"

#include "concurrency/detail/thread_call.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/mailbox.hpp"

namespace concurrency {

namespace detail {

std::shared_ptr<ThreadCall> call_of_this_thread() {
    ThreadCall* call = ThreadCall::here();
    if (call == nullptr) {
        throw RuntimeError("this needs a thread that run_sync() has called, or the "
                           "token of a loop");
    }
    return call->shared_from_this();
}

const EventLoopToken& token_of(const ThreadCall& call) noexcept {
    return call.token();
}

void check_other_thread(const EventLoopToken& token) {
    const Loop* loop = Loop::running();
    const bool is_loop = loop != nullptr && loop->mailbox().get() == &token.mailbox();
    if (is_loop || token.mailbox().is_here()) {
        throw RuntimeError("a call that waits for a loop, in the loop itself: await "
                           "the coroutine");
    }
}

}  // namespace detail

void from_thread::check_cancelled() {
    if (detail::call_of_this_thread()->cancelled()) {
        throw Cancelled();
    }
}

}  // namespace concurrency
