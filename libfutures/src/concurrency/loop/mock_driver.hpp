// SPDX-License-Identifier: BSL-1.0
// MockDriver: another driver with the time of a MockClock.
#pragma once

#include "concurrency/loop/driver.hpp"
#include "concurrency/testing.hpp"

#include <optional>

namespace concurrency::detail {

class MockDriver final : public Driver {
public:
    /// Throws RuntimeError when another loop uses the clock.
    MockDriver(Driver& real, testing::MockClock& clock);
    ~MockDriver();

    void post() override { real_.post(); }

    void post_mail() override { real_.post_mail(); }

    void call_at(TimePoint time) override;

    void call_when_idle(Clock::duration cushion) override {
        real_.call_when_idle(cushion);
    }

    std::optional<Clock::duration> jumps_after() const noexcept override;
    void jump_to(TimePoint time) noexcept override;

    TimePoint now() const noexcept override { return clock_.now(); }

    bool is_here() const noexcept override { return real_.is_here(); }

    bool is_known_to_be_here() const noexcept override {
        return real_.is_known_to_be_here();
    }

    const boost::asio::any_io_executor* executor() const noexcept override {
        return real_.executor();
    }

    /// The clock was changed: the loop is to look at its timers anew.
    void changed();

private:
    Driver& real_;
    testing::MockClock& clock_;
};

}  // namespace concurrency::detail
