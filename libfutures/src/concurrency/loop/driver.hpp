// SPDX-License-Identifier: BSL-1.0
// Driver: what a loop asks of the executor that runs it.
#pragma once

#include "concurrency/clock.hpp"

#include <optional>

namespace boost::asio {
class any_io_executor;
}

namespace concurrency::detail {

/// Calls come from the loop, in its executor, if nothing else is said; the driver calls
/// back there, one call at a time.
class Driver {
public:
    Driver() = default;
    Driver(const Driver&) = delete;
    Driver& operator=(const Driver&) = delete;

    /// Loop::turn() soon, but not from here.
    virtual void post() = 0;

    /// Loop::mail_has_come() soon. From any thread; the loop's mailbox sees to it that
    /// the driver is there, and that one at a time calls it.
    virtual void post_mail() = 0;

    /// Loop::timer_is_due() then, instead of at any time said before.
    virtual void call_at(TimePoint time) = 0;

    /// Loop::is_idle() after so long in real time, instead of after any time said
    /// before; with 0 as soon as the executor has done what it has to do now.
    virtual void call_when_idle(Clock::duration cushion) = 0;

    /// How long no task has to have run before the time is to jump; none for never.
    virtual std::optional<Clock::duration> jumps_after() const noexcept {
        return std::nullopt;
    }

    /// Only where jumps_after() says so.
    virtual void jump_to(TimePoint) noexcept {}

    virtual TimePoint now() const noexcept = 0;

    /// Whether this thread is in the executor, between two calls of the loop; true
    /// where that cannot be seen.
    virtual bool is_here() const noexcept = 0;

    /// The same, but false where it cannot be seen. From any thread, as long as the
    /// driver is there.
    virtual bool is_known_to_be_here() const noexcept = 0;

    /// Where it calls back; null for one that has no executor of Boost.Asio.
    virtual const boost::asio::any_io_executor* executor() const noexcept {
        return nullptr;
    }

protected:
    ~Driver() = default;
};

}  // namespace concurrency::detail
