// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/thread_call.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/loop/loop.hpp"
#include "concurrency/loop/running.hpp"

namespace concurrency::detail {

namespace {

[[gnu::noinline]] ThreadCall*& call_here() noexcept {
    thread_local ThreadCall* call = nullptr;
    return call;
}

}  // namespace

ThreadCall::ThreadCall(LoopTask& caller, OnCancel on_cancel, CapacityLimiter* limiter)
    : Watcher(Kind::waiter),
      token_(caller.loop().mailbox()),
      pool_(Bridge::of(caller.loop()).threads()),
      caller_id_(caller.id()),
      on_cancel_(on_cancel),
      caller_(&caller),
      limiter_(limiter != nullptr ? *limiter : Bridge::of(caller.loop()).limiter()) {
    set_hears_cancel(true);
}

Task<> ThreadCall::take_token() {
    co_await limiter_.acquire_on_behalf_of(this);
    borrowed_ = CapacityLimiter::Guard(limiter_, this);
}

void ThreadCall::watch(futures::detail::StateBase& state) {
    if (!state.add_waiter(*this)) {
        give_token_back();
        return;
    }
    // Between the turns of tasks: what it tells arrives later.
    state_ = &state;
    self_ = shared_from_this();
    Bridge::of(caller_->loop()).add(*this);
}

ThreadCall::Place ThreadCall::place() const noexcept {
    if (caller_ == nullptr || on_cancel_ == OnCancel::abandon) {
        return {nullptr, caller_id_};
    }
    return {caller_->scope(), caller_id_};
}

void ThreadCall::caller_leaves() noexcept {
    caller_ = nullptr;
    if (state_ == nullptr) {
        give_token_back();  // if it was not submitted
    } else {
        // The task's own handle of the future is about to go.
        state_->add_reference();
        kept_state_ = futures::detail::StatePtr<futures::detail::StateBase>(state_);
    }
}

void ThreadCall::leave() noexcept {
    CallLink::unlink();
    give_token_back();  // the thread's own handle of this may be the last one
    if (state_ != nullptr) {
        state_->remove_waiter(*this);
        token_.mailbox().withdraw(*this);
        state_ = nullptr;
        kept_state_ = {};
        self_.reset();  // perhaps the last of it
    }
}

void ThreadCall::told(futures::detail::StateBase& /*state*/) noexcept {
    token_.mailbox().post_awaited(*this);
}

void ThreadCall::arrive(Loop& /*loop*/) noexcept {
    const std::shared_ptr<ThreadCall> self = std::move(self_);
    CallLink::unlink();
    state_ = nullptr;
    kept_state_ = {};
    give_token_back();
}

void ThreadCall::give_token_back() noexcept {
    borrowed_ = {};
}

ThreadCall* ThreadCall::here() noexcept {
    return call_here();
}

ThreadCall::Here::Here(ThreadCall& call) noexcept : before_(call_here()) {
    enter(&call);
}

ThreadCall::Here::~Here() {
    enter(before_);
}

void ThreadCall::Here::enter(ThreadCall* call) noexcept {
    call_here() = call;
    running_here().call_is_cancelled = call != nullptr ? &call->cancelled() : nullptr;
}

}  // namespace concurrency::detail

namespace concurrency::to_thread {

CapacityLimiter& current_default_thread_limiter() {
    return detail::Bridge::of(detail::this_task().loop()).limiter();
}

}  // namespace concurrency::to_thread
