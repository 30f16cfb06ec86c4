// SPDX-License-Identifier: BSL-1.0
// TimerHeap: the timers of a loop, the next one first. Each timer knows its place, so
// that one which is cleared leaves at once and nothing piles up.
#pragma once

#include "concurrency/detail/timer.hpp"

#include <cstddef>
#include <cstdint>
#include <vector>

namespace concurrency::detail {

class TimerHeap {
public:
    bool empty() const noexcept { return entries_.empty(); }

    std::size_t size() const noexcept { return entries_.size(); }

    /// When the next one is. Requires: it is not empty.
    TimePoint first() const noexcept { return entries_.front().time; }

    /// Requires: the timer is in no heap. Throws std::bad_alloc.
    void push(Timer& timer, TimePoint time);

    /// Takes the next one out; those of one moment come in the order of push().
    Timer& pop() noexcept;

    /// Requires: the timer is here.
    void remove(Timer& timer) noexcept;

    static bool holds(const Timer& timer) noexcept {
        return timer.place_ != Timer::nowhere;
    }

private:
    struct Entry {
        TimePoint time;
        std::uint64_t number;
        Timer* timer;

        bool before(const Entry& other) const noexcept {
            return time != other.time ? time < other.time : number < other.number;
        }
    };

    void put(std::size_t place, const Entry& entry) noexcept;
    void up(std::size_t place, Entry entry) noexcept;
    void down(std::size_t place, Entry entry) noexcept;

    std::vector<Entry> entries_;
    std::uint64_t next_number_ = 0;
};

}  // namespace concurrency::detail
