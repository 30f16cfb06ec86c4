// SPDX-License-Identifier: BSL-1.0
// A loop whose executor has no memory for a while: what was woken runs all the same.
#include "concurrency/detail/timer.hpp"
#include "concurrency/loop/loop.hpp"
#include "support/catch.hpp"

#include <chrono>
#include <exception>
#include <new>
#include <stdexcept>
#include <string>

using concurrency::detail::Clock;
using concurrency::detail::Driver;
using concurrency::detail::Loop;
using concurrency::detail::LoopTask;
using concurrency::detail::TimePoint;
using concurrency::detail::Timer;

namespace {

/// An executor that only counts, and refuses as often as it was told to.
class ShortOfMemory final : public Driver {
public:
    void post() override {
        refuse();
        ++posted;
    }

    void post_mail() override {}

    void call_at(TimePoint /*time*/) override {
        refuse();
        ++timers;
    }

    void call_when_idle(Clock::duration /*cushion*/) override {}

    TimePoint now() const noexcept override { return TimePoint(); }

    bool is_here() const noexcept override { return true; }

    bool is_known_to_be_here() const noexcept override { return true; }

    int refusals = 0;
    int posted = 0;
    int timers = 0;

private:
    void refuse() {
        if (refusals > 0) {
            --refusals;
            throw std::bad_alloc();
        }
    }
};

/// Ends when it runs.
class Short final : public LoopTask {
public:
    Short() = default;

    bool has_run = false;

private:
    void begin() override {
        has_run = true;
        finish();
    }

    void failed(std::exception_ptr /*error*/) noexcept override {}

    void end() noexcept override {}

    std::string default_name() const override { return "short"; }
};

struct Sleeper final : Timer {
    Sleeper() : Timer(Kind::sleeper) {}

    void fire() noexcept override {}
};

}  // namespace

TEST_CASE("Loop: a task that is woken without memory for it runs", "[loop_memory]") {
    ShortOfMemory driver;
    Loop loop(driver);
    Short task;
    driver.refusals = 3;
    task.start(loop, &loop.root(), 0);  // as what a handler wakes
    CHECK(driver.refusals == 0);
    CHECK(driver.posted == 1);
    loop.posted_turn();
    CHECK(task.has_run);
    loop.stop();
}

TEST_CASE("Loop: what fails without memory ends the tasks", "[loop_memory]") {
    ShortOfMemory driver;
    Loop loop(driver);
    driver.refusals = 3;
    loop.fail(std::make_exception_ptr(std::runtime_error("failed")));
    CHECK(driver.refusals == 0);
    CHECK(driver.posted == 1);
    loop.posted_turn();
    CHECK(loop.root().cancelled());
    // Another failure does not hide the first, and the loop looks again.
    loop.fail(std::make_exception_ptr(std::runtime_error("and again")));
    CHECK(driver.posted == 2);
    CHECK_THROWS_WITH(std::rethrow_exception(loop.error()), "failed");
    loop.stop();
}

TEST_CASE(
    "Loop: a timer that could not be asked for is asked for later", "[loop_memory]"
) {
    ShortOfMemory driver;
    Loop loop(driver);
    Sleeper sleeper;
    driver.refusals = 2;
    CHECK_THROWS_AS(
        sleeper.set(loop, TimePoint(std::chrono::seconds(1))), std::bad_alloc
    );
    CHECK_THROWS_AS(loop.turn(), std::bad_alloc);
    CHECK(driver.timers == 0);
    loop.turn();
    CHECK(driver.timers == 1);
    loop.turn();
    CHECK(driver.timers == 1);
    loop.stop();
}
