// SPDX-License-Identifier: BSL-1.0
// LoopExecutor: the executor of the handlers that a task waits for.
// Python:  asyncio's call_soon_threadsafe, as something Boost.Asio can be given.
// Differs: it may outlive its loop, and the context that runs it: an operation of
//          another io_context holds it in that one's threads. What is given to it then
//          is destroyed and never called.
// Threads: any.
// Read next: src/concurrency/loop/mailbox.hpp
#pragma once

#include "concurrency/detail/letter.hpp"

#include <boost/asio/execution/blocking.hpp>
#include <boost/asio/execution/context.hpp>
#include <boost/asio/execution_context.hpp>

#include <memory>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

/// A function on its way to a loop. Called there, or destroyed in any thread.
class Errand : public Letter {
public:
    virtual ~Errand() = default;

    void arrive(Loop& loop) noexcept final;

    void come_back() noexcept final { delete this; }

protected:
    Errand() = default;

private:
    virtual void call() = 0;
};

template <class Fn>
class ErrandOf final : public Errand {
public:
    explicit ErrandOf(Fn&& fn) : fn_(std::move(fn)) {}

private:
    void call() override { std::move(fn_)(); }

    Fn fn_;
};

class LoopExecutor {
public:
    LoopExecutor(
        std::shared_ptr<Mailbox> mailbox, boost::asio::execution_context& context
    ) noexcept
        : mailbox_(std::move(mailbox)), context_(&context) {}

    /// Whether this thread runs the loop, or what else its executor has to do.
    bool is_here() const noexcept;

    /// Calls the function from here, if this is the loop's executor and nothing else is
    /// required; otherwise the loop calls it. Throws std::bad_alloc.
    template <class Fn>
    void execute(Fn&& fn) const {
        std::decay_t<Fn> function(std::forward<Fn>(fn));
        if (may_call_here_ && is_here()) {
            std::move(function)();
        } else {
            send(std::make_unique<ErrandOf<std::decay_t<Fn>>>(std::move(function)));
        }
    }

    /// The letter arrives in the loop. False, and it does not, when that has ended.
    bool send(Letter& letter) const noexcept;

    /// The loop's own, which is there as long as the loop runs.
    boost::asio::execution_context& query(boost::asio::execution::context_t
    ) const noexcept {
        return *context_;
    }

    boost::asio::execution::blocking_t query(boost::asio::execution::blocking_t
    ) const noexcept {
        using Blocking = boost::asio::execution::blocking_t;
        return may_call_here_ ? Blocking(Blocking::possibly)
                              : Blocking(Blocking::never);
    }

    LoopExecutor require(boost::asio::execution::blocking_t::possibly_t) const {
        return with(true);
    }

    LoopExecutor require(boost::asio::execution::blocking_t::never_t) const {
        return with(false);
    }

    friend bool
    operator==(const LoopExecutor& a, const LoopExecutor& b) noexcept = default;

private:
    LoopExecutor with(bool may_call_here) const noexcept {
        LoopExecutor other = *this;
        other.may_call_here_ = may_call_here;
        return other;
    }

    void send(std::unique_ptr<Errand> errand) const noexcept;

    std::shared_ptr<Mailbox> mailbox_;
    boost::asio::execution_context* context_;
    bool may_call_here_ = true;
};

}  // namespace concurrency::detail
