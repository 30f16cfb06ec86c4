// SPDX-License-Identifier: BSL-1.0
// EventLoopToken: names a loop to other threads.
// Python:  anyio.lowlevel.EventLoopToken, current_token; trio's TrioToken with
//          run_sync_soon.
// Differs: nothing.
// Threads: any; it is a value, and outlives its loop. current_token() asks the loop of
//          its thread.
// Read next: concurrency/submit.hpp, src/concurrency/loop/mailbox.hpp
#pragma once

#include "concurrency/detail/letter.hpp"

#include <exception>
#include <memory>
#include <tuple>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace detail {

/// A callable on its way into a loop.
class SoonLetter : public Letter {
public:
    SoonLetter() = default;
    SoonLetter(const SoonLetter&) = delete;
    SoonLetter& operator=(const SoonLetter&) = delete;
    virtual ~SoonLetter() = default;

private:
    virtual void call() = 0;

    void arrive(Loop& loop) noexcept final;

    void come_back() noexcept final { delete this; }
};

template <class Fn, class... Args>
class SoonCall final : public SoonLetter {
public:
    template <class F, class... As>
    explicit SoonCall(F&& fn, As&&... args)
        : fn_(std::forward<F>(fn)), args_(std::forward<As>(args)...) {}

private:
    void call() override { std::apply(std::move(fn_), std::move(args_)); }

    Fn fn_;
    std::tuple<Args...> args_;
};

}  // namespace detail

/// A loop, alive or not. Equal ones name the same loop.
class EventLoopToken {
public:
    /// Calls fn(args...) in the loop, between the turns of its tasks, in the order of
    /// these calls; never from here, also in the loop itself. Does not wait. What it
    /// throws cancels the main task and comes out of run(). fn and args are copied or
    /// moved, and destroyed uncalled when the loop ends first. Throws RuntimeError when
    /// the main task has ended, or in the child of a fork. Python: trio's
    /// run_sync_soon, asyncio's call_soon_threadsafe.
    template <class Fn, class... Args>
        requires std::is_invocable_v<std::decay_t<Fn>, std::decay_t<Args>...>
    void run_sync_soon(Fn&& fn, Args&&... args) const {
        using Call = detail::SoonCall<std::decay_t<Fn>, std::decay_t<Args>...>;
        post(std::make_unique<Call>(std::forward<Fn>(fn), std::forward<Args>(args)...));
    }

    /// The same loop.
    friend bool operator==(const EventLoopToken& a, const EventLoopToken& b) noexcept {
        return a.mailbox_ == b.mailbox_;
    }

    // -- For the library.

    explicit EventLoopToken(std::shared_ptr<detail::Mailbox> mailbox) noexcept
        : mailbox_(std::move(mailbox)) {}

    /// Where what is sent goes.
    detail::Mailbox& mailbox() const noexcept { return *mailbox_; }

private:
    void post(std::unique_ptr<detail::SoonLetter> letter) const;

    std::shared_ptr<detail::Mailbox> mailbox_;
};

/// The loop that runs here. Throws RuntimeError outside a loop.
EventLoopToken current_token();

}  // namespace concurrency
