// SPDX-License-Identifier: BSL-1.0
// The board's end: no more tasks, and what becomes of those that are on it.
#include "futures/detail/state.hpp"

#include "process_pool/board.hpp"

#include <cstring>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::refuse() noexcept {
    const MutexLock lock(mutex_);
    refusing_ = true;
}

void Board::fail_all(const Verdict& verdict) noexcept {
    std::vector<BoardTask*> left;
    const MutexLock draining(drain_mutex_);
    drain_all();
    over_ = true;
    {
        const MutexLock lock(mutex_);
        refusing_ = true;
        failed_ = true;
        gather_waiting();
        for (Index i = 0; i < options_.slots; ++i) {
            BoardTask* task = slot_tasks_[i].exchange(nullptr);
            if (task == nullptr) {
                continue;
            }
            SlotWord ready = slot_word(task->position, SlotKind::ready);
            slots_[i].word.compare_exchange_strong(
                ready, slot_word(task->position, SlotKind::cancelled)
            );
            backlog_.push_back(*task);
        }
    }
    // What they threw is the end of them.
    while (!thrown_.empty()) {
        conclude(thrown_.pop_front());
    }
    // Failed: nobody else touches the backlog any more.
    for (;;) {
        BoardTask* task = nullptr;
        {
            const MutexLock lock(mutex_);
            if (backlog_.empty()) {
                break;
            }
            task = &backlog_.pop_front();
            backlog_size_.store(0);
        }
        task->failure = verdict(*task);
        task->end = TaskEnd::failed;
        conclude(*task);
    }
}

void Board::renew() noexcept {
    const MutexLock draining(drain_mutex_);
    const MutexLock lock(mutex_);
    segment_.punch_hole(0, segment_.size());
    // Should that have failed. The rings say nothing before a worker counts its
    // results.
    const std::size_t before_rings = static_cast<std::size_t>(
        reinterpret_cast<std::byte*>(view_.ring(0)) - segment_.data()
    );
    std::memset(segment_.data(), 0, before_rings);
    write_header();
    for (std::uint32_t worker = 0; worker < options_.workers; ++worker) {
        rings_[worker].read.store(0);
        rings_[worker].faulty.store(false);
        rings_[worker].finished_below = 0;
        has_process_[worker] = 0;
    }
    tail_ = 0;
    guard_head_ = 0;
    stop_ = 0;
    trims_ = 0;
    next_look_ = 0;
    over_ = false;
    cancelling_ = false;
    failed_ = false;
    refusing_ = false;
    damage_.store(nullptr);
    guard_timer_->arm();
}

std::vector<BoardTask*> Board::take_queued() {
    std::vector<BoardTask*> taken;
    const MutexLock lock(mutex_);
    const auto take = [&](BoardTask& task) {
        task.message.clear();
        task.taken_back = true;
        taken.push_back(&task);
        // Whoever cancels it in the meantime may drop it.
        if (StateBase* const state = task.future_state()) {
            state->add_reference();
        }
    };
    for (Index i = 0; i < options_.slots; ++i) {
        BoardTask* task = slot_tasks_[i].load();
        if (task == nullptr) {
            continue;
        }
        SlotWord ready = slot_word(task->position, SlotKind::ready);
        if (slots_[i].word.compare_exchange_strong(
                ready, slot_word(task->position, SlotKind::cancelled)
            )) {
            slot_tasks_[i].store(nullptr);
            take(*task);
        }
    }
    cancelling_ = true;
    gather_waiting();
    while (!backlog_.empty()) {
        take(backlog_.pop_front());
    }
    backlog_size_.store(0);
    concluded_.fetch_add(taken.size());
    return taken;
}

}  // namespace futures::detail
