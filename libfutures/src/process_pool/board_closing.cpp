// SPDX-License-Identifier: BSL-1.0
// The board's end: no more tasks, and what becomes of those that are on it.
#include "process_pool/board.hpp"

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

std::vector<BoardTask*> Board::take_queued() {
    std::vector<BoardTask*> taken;
    const MutexLock lock(mutex_);
    const auto take = [&](BoardTask& task) {
        task.message.clear();
        task.taken_back = true;
        taken.push_back(&task);
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
    while (!backlog_.empty()) {
        take(backlog_.pop_front());
    }
    backlog_size_.store(0);
    concluded_.fetch_add(taken.size());
    return taken;
}

}  // namespace futures::detail
