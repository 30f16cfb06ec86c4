// SPDX-License-Identifier: BSL-1.0
// The future stays pending until the coroutine has ended, so that anybody may cancel it
// meanwhile. Then it is cancelled at once, and the coroutine when the letter that says
// so has come; no cancel() is lost, since that letter comes behind the one that brings
// the coroutine.
#include "concurrency/detail/guest.hpp"

#include "concurrency/bridges/bridge.hpp"
#include "concurrency/detail/thread_call.hpp"
#include "concurrency/errors.hpp"
#include "util/diagnostics.hpp"

namespace concurrency::detail {

namespace {

std::exception_ptr loop_has_ended() noexcept {
    try {
        throw RuntimeError("the loop ended before it had begun the call");
    } catch (...) {
        return std::current_exception();  // of want of memory, perhaps
    }
}

}  // namespace

void GuestPlace::destroy_task() noexcept {
    if (group_task_ != nullptr) {
        delete group_task_;
    } else {
        delete own_task_;
    }
}

/// Brings a guest into the loop.
class Guest::Arrival final : public Letter {
public:
    explicit Arrival(std::shared_ptr<Guest> guest) noexcept
        : guest_(std::move(guest)) {}

    void arrive(Loop& loop) noexcept override {
        const std::unique_ptr<Arrival> self(this);
        try {
            guest_->start(loop);
        } catch (...) {
            guest_->refuse(std::current_exception());
        }
    }

    void come_back() noexcept override {
        const std::unique_ptr<Arrival> self(this);
        guest_->refuse(loop_has_ended());
    }

private:
    std::shared_ptr<Guest> guest_;
};

/// The future was cancelled.
class Guest::CancelLetter final : public Letter {
public:
    explicit CancelLetter(std::weak_ptr<Guest> guest) noexcept
        : guest_(std::move(guest)) {}

    void arrive(Loop& /*loop*/) noexcept override {
        const std::unique_ptr<CancelLetter> self(this);
        if (const auto guest = guest_.lock()) {
            guest->cancel();
        }
    }

    void come_back() noexcept override { delete this; }

private:
    std::weak_ptr<Guest> guest_;
};

class Guest::CancelWatcher final : public futures::detail::Watcher {
public:
    CancelWatcher(const EventLoopToken& token, std::weak_ptr<Guest> guest)
        : Watcher(true),
          token_(token),
          letter_(std::make_unique<CancelLetter>(std::move(guest))) {}

    void told(futures::detail::StateBase& state) override {
        if (state.state() != futures::FutureState::finished &&
            token_.mailbox().post_awaited(*letter_)) {
            static_cast<void>(letter_.release());
        }
    }

private:
    EventLoopToken token_;
    std::unique_ptr<CancelLetter> letter_;
};

/// While the coroutine runs.
class Guest::Running {
public:
    Running(Guest& guest, CancelScope& scope) : guest_(guest) {
        guest.scope_ = &scope;
        if (!guest.linked()) {
            // A task that was started by TaskGroup::start().
            LoopTask& task = this_task();
            guest.group_task_ = static_cast<GroupTask*>(&task);
            Bridge::of(task.loop()).add(guest);
        }
        if (guest.is_cancelled_) {
            scope.cancel();
        }
    }

    Running(const Running&) = delete;
    Running& operator=(const Running&) = delete;

    ~Running() { guest_.scope_ = nullptr; }

private:
    Guest& guest_;
};

void Guest::listen(const EventLoopToken& token) {
    state().add_callback(std::make_unique<CancelWatcher>(token, weak_from_this()));
}

void Guest::send(const EventLoopToken& token, GuestHome home, std::string name) {
    home_ = std::move(home);
    name_ = std::move(name);
    listen(token);
    auto arrival = std::make_unique<Arrival>(shared_from_this());
    if (!token.mailbox().post(*arrival)) {
        throw RuntimeError("the loop has ended, and takes no coroutines any more");
    }
    static_cast<void>(arrival.release());
}

void Guest::start(Loop& loop) {
    const GuestHome home = std::exchange(home_, {});
    Bridge& bridge = Bridge::of(loop);
    if (home.group_) {
        TaskGroup group = *home.group_;
        Keeper keeper(shared_from_this());
        try {
            group.start_soon({.name = name()}, run, std::move(keeper));
        } catch (...) {
            keeper.let_go();  // the future gets the error
            throw;
        }
        auto& task = static_cast<LoopTask&>(loop.tasks().back());
        group_task_ = static_cast<GroupTask*>(&task);
        bridge.add(*this);
        return;
    }
    const auto place = home.call_ ? home.call_->place() : ThreadCall::Place();
    bridge.start(shared_from_this(), place.scope, place.parent);
}

void Guest::cancel() {
    is_cancelled_ = true;
    if (scope_ != nullptr) {
        scope_->cancel();
    }
}

Task<> Guest::run(Keeper guest) {
    CancelScope scope;
    const Running running(*guest, scope);
    std::exception_ptr error;
    bool has_result = false;
    try {
        has_result = co_await scope.run(guest->call());
    } catch (...) {
        error = std::current_exception();
    }
    guest->settle(error, has_result);
    // One that no scope around has caused is the guest's own: it ends the guest.
    if (is_cancelled(error) && this_task().cancel_pending()) {
        std::rethrow_exception(error);
    }
}

void Guest::settle(std::exception_ptr error, bool has_result) noexcept {
    try {
        if (has_result) {
            is_settled_ = true;
            give_result();
        } else if (error && !is_cancelled(error)) {
            refuse(std::move(error));
        }
        // Else it is cancelled, by its keeper.
    } catch (const futures::InvalidStateError&) {
        is_settled_ = false;  // it was cancelled meanwhile
    } catch (...) {
        is_settled_ = false;
        refuse(std::current_exception());
    }
}

void Guest::refuse(std::exception_ptr error) noexcept {
    if (std::exchange(is_settled_, true)) {
        return;
    }
    try {
        give_error(std::move(error));
    } catch (...) {
        is_settled_ = false;
        settle_cancelled();
    }
}

void Guest::settle_cancelled() noexcept {
    if (std::exchange(is_settled_, true)) {
        return;
    }
    try {
        futures::detail::StateBase& future = state();
        if (future.cancel()) {
            future.set_running_or_notify_cancel();
        }
    } catch (const futures::InvalidStateError&) {
        // Somebody has settled it by hand.
    } catch (...) {
        mp::detail::log_error("a future of submit() could not be cancelled");
    }
}

}  // namespace concurrency::detail
