// SPDX-License-Identifier: BSL-1.0
#include "concurrency/loop/timer_heap.hpp"

namespace concurrency::detail {

void TimerHeap::push(Timer& timer, TimePoint time) {
    entries_.emplace_back();
    up(entries_.size() - 1, Entry{time, next_number_++, &timer});
}

Timer& TimerHeap::pop() noexcept {
    Timer& first = *entries_.front().timer;
    remove(first);
    return first;
}

void TimerHeap::remove(Timer& timer) noexcept {
    const std::size_t place = timer.place_;
    timer.place_ = Timer::nowhere;
    const Entry last = entries_.back();
    entries_.pop_back();
    if (last.timer == &timer) {
        return;
    }
    if (place > 0 && last.before(entries_[(place - 1) / 2])) {
        up(place, last);
    } else {
        down(place, last);
    }
}

void TimerHeap::put(std::size_t place, const Entry& entry) noexcept {
    entries_[place] = entry;
    entry.timer->place_ = place;
}

void TimerHeap::up(std::size_t place, Entry entry) noexcept {
    while (place > 0) {
        const std::size_t parent = (place - 1) / 2;
        if (!entry.before(entries_[parent])) {
            break;
        }
        put(place, entries_[parent]);
        place = parent;
    }
    put(place, entry);
}

void TimerHeap::down(std::size_t place, Entry entry) noexcept {
    for (;;) {
        std::size_t child = 2 * place + 1;
        if (child >= entries_.size()) {
            break;
        }
        if (child + 1 < entries_.size() &&
            entries_[child + 1].before(entries_[child])) {
            ++child;
        }
        if (!entries_[child].before(entry)) {
            break;
        }
        put(place, entries_[child]);
        place = child;
    }
    put(place, entry);
}

}  // namespace concurrency::detail
