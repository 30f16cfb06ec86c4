// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/asio_driver.hpp"

#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/strand.hpp>
#include <boost/asio/system_executor.hpp>
#include <boost/asio/thread_pool.hpp>

#include <exception>
#include <utility>

namespace concurrency::detail {

namespace asio = boost::asio;

namespace {

// Whether this thread is in the executor, if that is one of these; else `unknown`.
template <class... Known>
bool is_in_one_of(const AsioDriver::Executor& executor, bool unknown) noexcept {
    bool here = unknown;
    const auto ask = [&](const auto* known) {
        if (known != nullptr) {
            here = known->running_in_this_thread();
        }
        return known != nullptr;
    };
    (ask(executor.target<Known>()) || ...);
    return here;
}

/// While it lives, this thread hands something to an executor.
class Posting {
public:
    Posting() noexcept { ++depth; }

    Posting(const Posting&) = delete;
    Posting& operator=(const Posting&) = delete;

    ~Posting() { --depth; }

    static bool is_under_way() noexcept { return depth != 0; }

private:
    static thread_local int depth;
};

thread_local int Posting::depth = 0;

bool is_in(const AsioDriver::Executor& executor, bool unknown) noexcept {
    using Context = asio::io_context::executor_type;
    using Pool = asio::thread_pool::executor_type;
    return is_in_one_of<
        Context,
        Pool,
        asio::strand<Context>,
        asio::strand<Pool>,
        asio::strand<asio::system_executor>,
        asio::strand<asio::any_io_executor>>(executor, unknown);
}

}  // namespace

/// What the executor holds for the loop. That one is destroyed without a call shows
/// that the executor is at its end.
class AsioDriver::Handler {
public:
    using Count = std::uint64_t AsioDriver::*;

    /// With `count` it is to be called only if that has not changed until then.
    Handler(AsioDriver& driver, void (Loop::*function)(), Count count = nullptr)
        : driver_(driver.shared_from_this()),
          function_(function),
          count_(count),
          number_(count != nullptr ? driver.*count : 0) {}

    Handler(Handler&&) noexcept = default;
    Handler& operator=(Handler&&) = delete;

    ~Handler() {
        if (driver_) {
            driver_->dropped();
        }
    }

    void operator()(const boost::system::error_code& = {}) {
        const std::shared_ptr<AsioDriver> driver = std::exchange(driver_, nullptr);
        if (count_ == nullptr || (*driver).*count_ == number_) {
            driver->call(function_);
        }
    }

private:
    std::shared_ptr<AsioDriver> driver_;
    void (Loop::*function_)();
    Count count_;
    std::uint64_t number_;
};

void AsioDriver::attach(
    Loop& loop, std::function<void()> on_stop, std::function<void()> on_drop
) {
    loop_ = &loop;
    on_stop_ = std::move(on_stop);
    on_drop_ = std::move(on_drop);
    is_watched_ = on_drop_ != nullptr;
    if (is_watched_) {
        const Posting posting;
        life_.expires_at(TimePoint::max());
        life_.async_wait(Handler(*this, &Loop::turn, &AsioDriver::waits_));
    }
}

void AsioDriver::detach() noexcept {
    const mp::detail::MutexLock lock(calls_);
    detach_now();
}

void AsioDriver::detach_now() noexcept {
    if (loop_ == nullptr) {
        return;
    }
    loop_ = nullptr;
    ++waits_;
    ++idle_waits_;
    try {
        timer_.cancel();
        idle_timer_.cancel();
        life_.cancel();
    } catch (...) {
        // Their handlers come later, then, and find no loop.
    }
}

void AsioDriver::post() {
    const Posting posting;
    asio::post(executor_, Handler(*this, &Loop::posted_turn));
}

void AsioDriver::post_mail() {
    const Posting posting;
    asio::post(executor_, Handler(*this, &Loop::mail_has_come));
}

void AsioDriver::call_at(TimePoint time) {
    const Posting posting;
    timer_.expires_at(time);  // ends the wait before, whose handler then does nothing
    ++waits_;
    timer_.async_wait(Handler(*this, &Loop::timer_is_due, &AsioDriver::waits_));
}

void AsioDriver::call_when_idle(Clock::duration cushion) {
    const Posting posting;
    ++idle_waits_;
    Handler idle(*this, &Loop::is_idle, &AsioDriver::idle_waits_);
    if (cushion <= Clock::duration::zero()) {
        asio::post(executor_, std::move(idle));
    } else {
        idle_timer_.expires_after(cushion);
        idle_timer_.async_wait(std::move(idle));
    }
}

bool AsioDriver::is_here() const noexcept {
    return is_in(executor_, true);
}

bool AsioDriver::is_known_to_be_here() const noexcept {
    return is_in(executor_, false);
}

void AsioDriver::call(void (Loop::*function)()) {
    // Another thread may detach the loop, if it watches. A task that runs handlers of
    // its own executor has the mutex already.
    if (!is_watched_ || is_calling_) {
        call_now(function);
        return;
    }
    const mp::detail::MutexLock lock(calls_);
    is_calling_ = true;
    call_now(function);
    is_calling_ = false;
}

void AsioDriver::call_now(void (Loop::*function)()) {
    if (loop_ == nullptr) {
        return;
    }
    try {
        (loop_->*function)();
    } catch (...) {
        if (loop_ != nullptr) {
            loop_->fail(std::current_exception());  // no memory, for one
        }
    }
    if (loop_ != nullptr && loop_->stopped()) {
        loop_->tell_end();
        detach_now();
        // Last: it may be what another thread waits for, to destroy the loop.
        std::exchange(on_stop_, nullptr)();
    }
}

void AsioDriver::dropped() noexcept {
    if (Posting::is_under_way() || is_known_to_be_here()) {
        return;  // there was no memory to post it
    }
    std::function<void()> on_drop;
    {
        const mp::detail::MutexLock lock(calls_);
        if (loop_ != nullptr) {
            on_drop.swap(on_drop_);
        }
    }
    if (on_drop) {
        on_drop();
    }
}

}  // namespace concurrency::detail
