// SPDX-License-Identifier: BSL-1.0
#include "thread_pool/work_queue.hpp"

#include "futures/detail/thread_task.hpp"

#include "os/spin.hpp"

#include <sched.h>

#include <new>
#include <utility>

namespace futures::detail {

namespace {

/// For locks that are held for a few instructions: the holder may be off its CPU.
class Backoff {
public:
    void once() noexcept {
        if (++rounds_ % 64 != 0) {
            mp::detail::cpu_relax();
        } else {
            sched_yield();
        }
    }

private:
    unsigned rounds_ = 0;
};

}  // namespace

WorkQueue::WorkQueue()
    : tail_segment_(new Segment),
      head_cell_(tail_segment_->cells.data()),
      head_segment_(tail_segment_) {}

WorkQueue::~WorkQueue() {
    while (head_segment_ != nullptr) {
        delete std::exchange(head_segment_, head_segment_->next.load());
    }
    Segment* spare = spare_.load();
    while (spare != nullptr) {
        delete std::exchange(spare, spare->next_spare);
    }
}

void WorkQueue::push(Work& work) {
    // order: relaxed load, the exchange decides.
    auto tail = tail_.load(std::memory_order_relaxed);
    Backoff backoff;
    // Sequentially consistent with is_empty(): a worker says that it sleeps, then looks
    // at the number; this announces an item, then looks for sleepers.
    while ((tail & 1) != 0 || !tail_.compare_exchange_weak(tail, (tail + 2) | 1)) {
        if ((tail & 1) != 0) {
            backoff.once();
            // order: relaxed, as above.
            tail = tail_.load(std::memory_order_relaxed);
        }
    }
    if (tail_offset_ == segment_size) {
        Segment* const segment = new_segment();
        if (segment == nullptr) {
            // order: release pairs with the exchange above, so that the next producer
            // sees this one's changes.
            tail_.store(tail, std::memory_order_release);
            throw std::bad_alloc();
        }
        // order: release pairs with pop(), so that the cells are visible.
        tail_segment_->next.store(segment, std::memory_order_release);
        tail_segment_ = segment;
        tail_offset_ = 0;
    }
    // order: release pairs with pop(), so that the work is visible.
    tail_segment_->cells[tail_offset_++].store(&work, std::memory_order_release);
    // order: release, as above.
    tail_.store(tail + 2, std::memory_order_release);
}

WorkQueue::Segment* WorkQueue::new_segment() noexcept {
    // order: acquire pairs with pop(), so that next_spare is visible.
    Segment* segment = spare_.load(std::memory_order_acquire);
    // Only one producer is here, so the segment cannot be taken and come back
    // meanwhile. order: acquire, as above.
    while (segment != nullptr &&
           !spare_.compare_exchange_weak(
               segment, segment->next_spare, std::memory_order_acquire
           )) {
    }
    if (segment == nullptr) {
        return new (std::nothrow) Segment;
    }
    for (auto& cell : segment->cells) {
        // order: relaxed, published with the segment.
        cell.store(nullptr, std::memory_order_relaxed);
    }
    // order: relaxed, as above.
    segment->next.store(nullptr, std::memory_order_relaxed);
    return segment;
}

void WorkQueue::lock_head() noexcept {
    Backoff backoff;
    // order: acquire pairs with the release at the end of pop().
    while (head_locked_.exchange(true, std::memory_order_acquire)) {
        do {
            backoff.once();
            // order: relaxed, the exchange decides.
        } while (head_locked_.load(std::memory_order_relaxed));
    }
}

inline void WorkQueue::unlock_head() noexcept {
    // order: release pairs with lock_head().
    head_locked_.store(false, std::memory_order_release);
}

/// Under the lock: where the next item is or will be; null at the end of a segment.
[[gnu::always_inline]] inline std::atomic<Work*>* WorkQueue::head_cell() noexcept {
    if (head_offset_ == segment_size) {
        // order: acquire pairs with push(), so that the cells are visible.
        Segment* const next = head_segment_->next.load(std::memory_order_acquire);
        if (next == nullptr) {
            return nullptr;
        }
        Segment* const used = std::exchange(head_segment_, next);
        head_offset_ = 0;
        // order: release pairs with looks_empty(), so that the cells are visible.
        head_cell_.store(next->cells.data(), std::memory_order_release);
        // order: relaxed load, the exchange decides.
        used->next_spare = spare_.load(std::memory_order_relaxed);
        // order: release pairs with new_segment().
        while (!spare_.compare_exchange_weak(
            used->next_spare, used, std::memory_order_release
        )) {
        }
    }
    return &head_segment_->cells[head_offset_];
}

/// Under the lock: the item there is taken.
[[gnu::always_inline]] inline void WorkQueue::pass_head(std::atomic<Work*>* cell
) noexcept {
    ++head_offset_;
    // order: relaxed, under the lock; readers take it as a hint.
    head_.store(head_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed);
    if (head_offset_ < segment_size) {
        // order: release, as above.
        head_cell_.store(cell + 1, std::memory_order_release);
        // The next item will be wanted soon, by this worker or another.
        // order: relaxed, only the address is used.
        __builtin_prefetch(cell[1].load(std::memory_order_relaxed));
    }
}

Work* WorkQueue::pop() noexcept {
    lock_head();
    Work* work = nullptr;
    if (auto* const cell = head_cell(); cell != nullptr) {
        // order: acquire pairs with push(), so that the work is visible.
        work = cell->load(std::memory_order_acquire);
        if (work != nullptr) {
            pass_head(cell);
        }
    }
    unlock_head();
    return work;
}

Work* WorkQueue::take_begun() noexcept {
    // The producers' lock, without an item; only here both are held.
    // order: relaxed load, the exchange decides.
    auto tail = tail_.load(std::memory_order_relaxed);
    Backoff backoff;
    while ((tail & 1) != 0 || !tail_.compare_exchange_weak(tail, tail | 1)) {
        if ((tail & 1) != 0) {
            backoff.once();
            // order: relaxed, as above.
            tail = tail_.load(std::memory_order_relaxed);
        }
    }
    lock_head();
    Work* found = nullptr;
    // order: acquire pairs with push(), so that the work is visible.
    if (auto* const cell = head_cell(); cell != nullptr) {
        Work* const work = cell->load(std::memory_order_acquire);
        if (work != nullptr && work->is_begun()) {
            found = work;
            pass_head(cell);
        }
    }
    if (found == nullptr && tail_offset_ > 0 &&
        (tail_segment_ != head_segment_ || tail_offset_ > head_offset_)) {
        auto& cell = tail_segment_->cells[tail_offset_ - 1];
        // order: relaxed, written under the lock that is held.
        Work* const work = cell.load(std::memory_order_relaxed);
        if (work->is_begun()) {
            found = work;
            // order: relaxed, as above.
            cell.store(nullptr, std::memory_order_relaxed);
            --tail_offset_;
            // Taken, if not at the head. order: relaxed, as in pass_head().
            head_.store(
                head_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed
            );
        }
    }
    unlock_head();
    // order: release pairs with the exchange, so that the next producer sees this.
    tail_.store(tail, std::memory_order_release);
    return found;
}

bool WorkQueue::looks_empty() const noexcept {
    // At the end of a segment this reads the last item of it, which says "not empty"
    // and costs a vain pop().
    // order: acquire pairs with pop(), so that the cell exists.
    const auto* const cell = head_cell_.load(std::memory_order_acquire);
    // order: relaxed, a hint; pop() looks again.
    return cell->load(std::memory_order_relaxed) == nullptr;
}

bool WorkQueue::is_empty() const noexcept {
    const auto tail = tail_.load();
    return tail == head_.load() << 1;
}

}  // namespace futures::detail
