// SPDX-License-Identifier: BSL-1.0
// Whoever completes a future tells its list under a lock that leave() takes as well: a
// wait that is over is neither in that list nor in the mailbox, and nothing can reach
// it any more.
#include "concurrency/detail/future_wait.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"

namespace concurrency::detail {

using futures::FutureState;
using futures::detail::StateBase;

FutureWait::FutureWait(LoopTask& task, StateBase& state, OnCancel on_cancel) noexcept
    : Park(task),
      Watcher(Kind::waiter),
      state_(state),
      mailbox_(*task.loop().mailbox()),
      on_cancel_(on_cancel) {
    set_hears_cancel(true);
}

FutureWait::~FutureWait() {
    leave();
    if (!owns_call_ || state_.done() || on_cancel_ == OnCancel::abandon) {
        return;
    }
    // The coroutine is destroyed where it waits. A thread can only be waited for; what
    // a process does is nothing to us.
    if (cancelled_ != nullptr) {
        *cancelled_ = true;
    }
    if (!stop_call() || !state_.done()) {
        try {
            if (state_.as_work() != nullptr) {
                state_.wait(mp::Deadline(mp::forever));
            }
        } catch (...) {
            static_cast<void>(0);  // a wait that could never end is none
        }
    }
}

bool FutureWait::begin() {
    if (task().cancel_pending()) {
        stop_call();
        task().check_cancelled();
    }
    is_watching_ = state_.add_waiter(*this);
    if (is_watching_ && state_.done()) {
        leave();
    }
    return is_watching_;
}

bool FutureWait::abort() noexcept {
    if (cancelled_ != nullptr) {
        *cancelled_ = true;
    }
    if (state_.done()) {
        return false;  // the letter is under way
    }
    has_stopped_ = stop_call();
    // A call that has ended by now, with a result all the same, tells it by its letter.
    if (has_stopped_ ? state_.done() && state_.state() != FutureState::finished
                     : on_cancel_ == OnCancel::abandon) {
        leave();
        return true;
    }
    return false;
}

void FutureWait::check() const {
    if (has_stopped_ && state_.state() != FutureState::finished) {
        task().check_cancelled();
        throw Cancelled();  // a shield has come between since
    }
}

/// True when the future is cancelled, now or as soon as its call has ended.
bool FutureWait::stop_call() noexcept {
    try {
        return on_cancel_ == OnCancel::kill ? state_.cancel_running() : state_.cancel();
    } catch (...) {
        return false;  // there is no memory to say so: it goes on
    }
}

void FutureWait::told(StateBase& /*state*/) noexcept {
    mailbox_.post_awaited(*this);
}

void FutureWait::arrive(Loop& /*loop*/) noexcept {
    is_watching_ = false;
    task().wake();
}

void FutureWait::leave() noexcept {
    if (is_watching_) {
        is_watching_ = false;
        state_.remove_waiter(*this);
        mailbox_.withdraw(*this);
    }
}

}  // namespace concurrency::detail
