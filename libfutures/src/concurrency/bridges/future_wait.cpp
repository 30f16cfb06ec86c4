// SPDX-License-Identifier: BSL-1.0
// Whoever completes a future tells its list under a lock that leave() takes as well: a
// wait that is over is neither in that list nor in the mailbox, and nothing can reach
// it any more.
#include "concurrency/detail/future_wait.hpp"

#include "concurrency/errors.hpp"
#include "concurrency/loop/loop.hpp"
#include "os/spin.hpp"

namespace concurrency::detail {

using futures::FutureState;
using futures::detail::StateBase;

FutureWait::FutureWait(
    LoopTask& task, StateBase& state, OnCancel on_cancel, const char* what
) noexcept
    : Park(task, what),
      Watcher(Kind::waiter),
      state_(state),
      mailbox_(*task.loop().mailbox()),
      on_cancel_(on_cancel) {
    set_hears_cancel(true);
}

FutureWait::~FutureWait() {
    leave();
    if (!task().loop().is_of_this_process()) {
        return;  // the thread is the other's
    }
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
    if (is_about_to_end()) {
        return false;
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
    // Finished meanwhile, its result is the task's, and the letter under way.
    const bool is_over = state_.done() && state_.state() != FutureState::finished;
    if (has_stopped_ ? is_over : on_cancel_ == OnCancel::abandon) {
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

/// Looks for some microseconds whether a short call of a thread pool ends, before the
/// loop sleeps: to be woken takes many times as long. Only when no other task could run
/// meanwhile, and where it helped lately; and not for as long as a thread would that
/// has nothing else to do, because the executor may have.
bool FutureWait::is_about_to_end() noexcept {
    if (state_.as_work() == nullptr || task().loop().has_others_ready()) {
        return false;
    }
    mp::detail::SpinHistory& history = task().loop().looks();
    if (!history.may_yield() || !history.worthwhile()) {
        return false;
    }
    mp::detail::Search search(
        history, {.pauses = 50, .yields = 8, .always_pause = true}
    );
    bool found = state_.done();
    while (!found && search.again()) {
        found = state_.done();
    }
    history.learn(found);
    if (found) {
        task().has_looked();
    }
    return found;
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
