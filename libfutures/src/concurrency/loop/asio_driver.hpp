// SPDX-License-Identifier: BSL-1.0
// AsioDriver: a loop on a serial executor of Boost.Asio, and one timer.
#pragma once

#include "mp/thread_safety.hpp"

#include "concurrency/loop/driver.hpp"
#include "concurrency/loop/loop.hpp"

#include <boost/asio/any_io_executor.hpp>
#include <boost/asio/basic_waitable_timer.hpp>
#include <boost/system/error_code.hpp>

#include <cstdint>
#include <functional>
#include <memory>

namespace concurrency::detail {

/// Handlers that the executor still holds when the loop has ended keep the driver, and
/// find that there is no loop. Used in the executor only.
class AsioDriver final : public Driver,
                         public std::enable_shared_from_this<AsioDriver> {
public:
    using Executor = boost::asio::any_io_executor;

    explicit AsioDriver(const Executor& executor)
        : executor_(executor),
          timer_(executor),
          idle_timer_(executor),
          life_(executor) {}

    /// `on_stop` is called when the loop has stopped and is not touched any more. With
    /// `on_drop`, which may be empty, the executor has work until then, and that is
    /// called when it is destroyed before.
    void attach(
        Loop& loop, std::function<void()> on_stop, std::function<void()> on_drop = {}
    );

    /// Nothing calls the loop any more. In the executor, or where the loop is attached
    /// with on_drop: then it waits for a call that is under way.
    void detach() noexcept;

    void post() override;
    void post_mail() override;
    void call_at(TimePoint time) override;
    void call_when_idle(Clock::duration cushion) override;
    bool is_here() const noexcept override;
    bool is_known_to_be_here() const noexcept override;

    TimePoint now() const noexcept override { return Clock::now(); }

    const Executor* executor() const noexcept override { return &executor_; }

private:
    using Timer = boost::asio::
        basic_waitable_timer<Clock, boost::asio::wait_traits<Clock>, Executor>;

    class Handler;

    void call(void (Loop::*function)());
    void call_now(void (Loop::*function)());
    void detach_now() noexcept;
    void dropped() noexcept;

    Executor executor_;
    Timer timer_;
    Timer idle_timer_;
    Timer life_;  // never due: what waits for it lives as long as the executor
    Loop* loop_ = nullptr;
    std::function<void()> on_stop_;
    std::function<void()> on_drop_;
    bool is_watched_ = false;  // by a thread that may detach the loop
    bool is_calling_ = false;
    mp::detail::Mutex calls_;
    std::uint64_t waits_ = 0;  // of the timer; only the last one counts
    std::uint64_t idle_waits_ = 0;
};

}  // namespace concurrency::detail
