// SPDX-License-Identifier: BSL-1.0
// The board's part in tasks that tasks have submitted: who asks, where a task stands,
// and how one is taken to be run on the stack of the task that waits for it.
// docs/protocols/nested_submission.md is the protocol.
#include "process_pool/board.hpp"

#include <bit>
#include <limits>
#include <new>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::visit_asking(const std::function<void(std::uint32_t)>& visitor) {
    const std::uint32_t used = used_.load();
    for (std::size_t i = 0; i < BoardView::set_words(used); ++i) {
        auto& asking = view_.header().asking.word(i);
        if (asking.load() == 0) {
            continue;
        }
        for (auto bits = asking.exchange(0) & BoardView::set_mask(i, used); bits != 0;
             bits &= bits - 1) {
            visitor(
                static_cast<std::uint32_t>(i * 64) +
                static_cast<std::uint32_t>(std::countr_zero(bits))
            );
        }
    }
}

void Board::ask_again(std::uint32_t worker) noexcept {
    view_.header().asking.word_of(worker).fetch_or(WorkerSet::bit_of(worker));
    doorbell().ring();
}

bool Board::is_queued(const BoardTask& task) const noexcept {
    const MutexLock lock(mutex_);
    if (task.taken_back || task.is_finished() || failed_) {
        return false;
    }
    return task.position == BoardTask::unplaced ||
           slots_[index_of(task.position)].word.load() ==
               slot_word(task.position, SlotKind::ready);
}

std::optional<std::uint32_t> Board::worker_with(const BoardTask& task) const noexcept {
    const MutexLock lock(mutex_);
    if (task.taken_back || task.is_finished() || task.position == BoardTask::unplaced) {
        return std::nullopt;
    }
    const SlotWord word = slots_[index_of(task.position)].word.load();
    const bool taken =
        kind_of(word) == SlotKind::running || kind_of(word) == SlotKind::claimed;
    if (!taken || position_of(word) != task.position ||
        worker_of(word) >= options_.workers) {
        return std::nullopt;
    }
    return worker_of(word);
}

bool Board::take_queued_task(BoardTask& task) noexcept {
    const MutexLock lock(mutex_);
    if (!take_queued_locked(task)) {
        return false;
    }
    // Its end is told where it runs: whoever hears of what comes after it finds it
    // counted.
    // order: as in cancel().
    concluded_.fetch_add(1, std::memory_order_release);
    return true;
}

bool Board::take_queued_locked(BoardTask& task) noexcept {
    if (task.taken_back || task.is_finished() || failed_) {
        return false;
    }
    if (task.position == BoardTask::unplaced) {
        remove_waiting(task);
        task.waits_apart = false;
        return true;
    }
    return take_back(task.position) == &task;
}

/// As the most urgent one.
void Board::let_go_first(BoardTask& task) noexcept {
    std::uint64_t tail = 0;
    {
        const MutexLock lock(mutex_);
        const bool is_first =
            task.position != BoardTask::unplaced && task.position == first_ready();
        if (is_first || cancelling_ ||
            task.not_before != DelayedTasks::Clock::time_point() ||
            !take_queued_locked(task)) {
            return;
        }
        task.priority = std::numeric_limits<int>::max();
        try {
            submit_ranked(task, {});
        } catch (const std::bad_alloc&) {
            queue_again(task);
        }
        tail = tail_;
    }
    wake_for_work(tail);
}

bool Board::run_after_all(BoardTask& task) noexcept {
    {
        const MutexLock lock(mutex_);
        if (failed_ || cancelling_) {
            return false;
        }
        // order: as in cancel().
        concluded_.fetch_sub(1, std::memory_order_release);
        queue_again(task);
    }
    refill();
    return true;
}

void Board::conclude_taken(BoardTask& task) noexcept {
    const MutexLock draining(drain_mutex_);
    tell_end(task);
}

std::uint64_t Board::finished_below(std::uint32_t worker) const noexcept {
    const MutexLock draining(drain_mutex_);
    return rings_[worker].finished_below;
}

}  // namespace futures::detail
