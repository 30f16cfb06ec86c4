// SPDX-License-Identifier: BSL-1.0
// TimerHeap: the next timer first, each one able to leave from the middle.
#include "concurrency/loop/timer_heap.hpp"
#include "support/catch.hpp"

#include <algorithm>
#include <chrono>
#include <memory>
#include <random>
#include <utility>
#include <vector>

using concurrency::detail::TimePoint;
using concurrency::detail::Timer;
using concurrency::detail::TimerHeap;

namespace {

struct Plain final : Timer {
    Plain() : Timer(Kind::sleeper) {}

    void fire() noexcept override {}
};

TimePoint at(int time) {
    return TimePoint(std::chrono::milliseconds(time));
}

}  // namespace

TEST_CASE(
    "TimerHeap: those of one moment come in the order in which they were set",
    "[timer_heap]"
) {
    TimerHeap heap;
    std::vector<Plain> timers(20);
    for (Plain& timer : timers) {
        heap.push(timer, at(1));
    }
    for (Plain& timer : timers) {
        CHECK(&heap.pop() == &timer);
    }
    CHECK(heap.empty());
}

TEST_CASE("TimerHeap: is in order whatever comes and goes", "[timer_heap]") {
    std::mt19937 random(1);
    for (int round = 0; round < 200; ++round) {
        TimerHeap heap;
        std::vector<std::unique_ptr<Plain>> timers;
        std::vector<std::pair<TimePoint, Plain*>> expected;
        for (int i = 0; i < 100; ++i) {
            if (!expected.empty() && random() % 3 == 0) {
                const std::size_t one = random() % expected.size();
                heap.remove(*expected[one].second);
                CHECK_FALSE(TimerHeap::holds(*expected[one].second));
                expected.erase(expected.begin() + static_cast<std::ptrdiff_t>(one));
            } else {
                timers.push_back(std::make_unique<Plain>());
                const TimePoint time = at(static_cast<int>(random() % 30));
                heap.push(*timers.back(), time);
                expected.emplace_back(time, timers.back().get());
            }
        }
        std::stable_sort(expected.begin(), expected.end(), [](auto& a, auto& b) {
            return a.first < b.first;
        });
        REQUIRE(heap.size() == expected.size());
        bool in_order = true;
        for (const auto& [time, timer] : expected) {
            in_order = in_order && heap.first() == time && &heap.pop() == timer;
        }
        CHECK(in_order);
    }
}
