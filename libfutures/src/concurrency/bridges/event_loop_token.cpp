// SPDX-License-Identifier: BSL-1.0
#include "concurrency/event_loop_token.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency {

namespace detail {

void SoonLetter::arrive(Loop& loop) noexcept {
    std::unique_ptr<SoonLetter> self(this);
    try {
        call();
        self.reset();  // its destructors may throw as well
    } catch (...) {
        callback_failed(loop, std::current_exception());
    }
}

}  // namespace detail

void EventLoopToken::post(std::unique_ptr<detail::SoonLetter> letter) const {
    if (!mailbox_->post(*letter)) {
        throw RuntimeError("the loop has ended, and takes no calls any more");
    }
    static_cast<void>(letter.release());
}

EventLoopToken current_token() {
    const detail::Loop* loop = detail::Loop::running();
    if (loop == nullptr) {
        throw RuntimeError("no loop runs here");
    }
    return EventLoopToken(loop->mailbox());
}

}  // namespace concurrency
