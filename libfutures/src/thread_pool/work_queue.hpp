// SPDX-License-Identifier: BSL-1.0
// WorkQueue: the unbounded first-in, first-out queue of a thread pool.
// One producer at a time, one consumer at a time, and the two never meet: each side has
// a lock of its own that is held for a few instructions. The producers' lock and the
// number of the next item are one word, so taking the lock also announces the item.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>

namespace futures::detail {

class Work;

class WorkQueue {
public:
    WorkQueue();
    ~WorkQueue();
    WorkQueue(const WorkQueue&) = delete;
    WorkQueue& operator=(const WorkQueue&) = delete;

    /// Throws std::bad_alloc, and then nothing was added.
    void push(Work& work);

    /// The oldest item; null when there is none, or the next one is just being added.
    Work* pop() noexcept;

    /// An item from one end or the other that was begun without being taken; null when
    /// both ends are such as are still to be done. Without it a recursion, whose waits
    /// run what they wait for, would fill the queue with what is done.
    Work* take_begun() noexcept;

    /// A hint for a thread that looks again and again: reads what a producer writes
    /// last.
    bool looks_empty() const noexcept;

    /// False if any push() has begun before, in the single order of all sequentially
    /// consistent operations, and was not yet taken.
    bool is_empty() const noexcept;

    /// How many items were ever added.
    std::uint64_t pushed() const noexcept {
        // order: relaxed, a number for statistics.
        return tail_.load(std::memory_order_relaxed) >> 1;
    }

    std::uint64_t popped() const noexcept {
        // order: relaxed, as above.
        return head_.load(std::memory_order_relaxed);
    }

private:
    static constexpr std::size_t segment_size = 510;

    // Segments are not freed before the queue is: looks_empty() may still read one.
    struct Segment {
        std::array<std::atomic<Work*>, segment_size> cells{};
        std::atomic<Segment*> next{nullptr};
        Segment* next_spare = nullptr;
    };

    Segment* new_segment() noexcept;
    void lock_head() noexcept;
    void unlock_head() noexcept;
    std::atomic<Work*>* head_cell() noexcept;
    void pass_head(std::atomic<Work*>* cell) noexcept;

    // Producers: number of the next item, times 2, plus 1 while one is being added.
    alignas(64) std::atomic<std::uint64_t> tail_{0};
    // Guarded by tail_.
    Segment* tail_segment_;
    std::size_t tail_offset_ = 0;

    // Consumers.
    alignas(64) std::atomic<bool> head_locked_{false};
    // Written under head_locked_.
    std::size_t head_offset_ = 0;
    std::atomic<std::uint64_t> head_{0};
    std::atomic<std::atomic<Work*>*> head_cell_;
    Segment* head_segment_;

    // Given back by consumers, one at a time; taken by producers, one at a time.
    alignas(64) std::atomic<Segment*> spare_{nullptr};
};

}  // namespace futures::detail
