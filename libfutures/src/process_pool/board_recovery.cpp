// SPDX-License-Identifier: BSL-1.0
// The board's workers come and go: a place for a new one, and what a dead one leaves.
#include "mp/errors.hpp"

#include "process_pool/board.hpp"

#include <algorithm>
#include <cstring>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::prepare(std::uint32_t worker, std::shared_ptr<ResultArenaReader> arena) {
    const MutexLock lock(drain_mutex_);
    arenas_[worker] = std::move(arena);
    WorkerControl& control = view_.control(worker);
    control.park.store(0);
    control.results_written.store(0);
    rings_[worker].read.store(0);
    rings_[worker].faulty.store(false);
    control.phase.store(WorkerPhase::starting);
    control.crash.signal.store(0);
}

Message Board::initializer_failure(std::uint32_t worker) {
    Message message;
    if (view_.control(worker).phase.load() == WorkerPhase::initializer_failed) {
        BlockReference reference{};
        std::memcpy(&reference, view_.ring(worker)->bytes.data(), sizeof reference);
        const MutexLock lock(drain_mutex_);
        message.adopt(arenas_[worker]->open(reference));
    }
    return message;
}

Board::Leftovers Board::leftovers_of(std::uint32_t worker) {
    Leftovers found;
    const MutexLock lock(mutex_);
    for (Index i = 0; i < options_.slots; ++i) {
        BoardTask* const task = slot_tasks_[i].load();
        const SlotWord word = slots_[i].word.load();
        if (task == nullptr || worker_of(word) != worker) {
            continue;
        }
        const SlotKind kind = kind_of(word);
        if (kind == SlotKind::claimed) {
            found.claimed.push_back(task);
        } else if (kind == SlotKind::running) {
            found.running.push_back(task);
        }
    }
    return found;
}

std::size_t Board::recover(std::uint32_t worker, const Verdict& verdict) {
    std::vector<BoardTask*> running;
    std::size_t lost = 0;
    {
        const MutexLock draining(drain_mutex_);
        drain_ring(worker);  // the last thing that it finished is not lost
        Leftovers left = leftovers_of(worker);
        running = std::move(left.running);
        std::vector<BoardTask*> again = std::move(left.claimed);
        for (BoardTask*& task : running) {
            task->failure = verdict(*task);
            task->end = TaskEnd::failed;
            if (!task->failure) {
                again.push_back(std::exchange(task, nullptr));
            }
        }
        std::sort(again.begin(), again.end(), [](const auto* a, const auto* b) {
            return a->position > b->position;
        });
        lost = running.size() - static_cast<std::size_t>(
                                    std::count(running.begin(), running.end(), nullptr)
                                );
        {
            const MutexLock lock(mutex_);
            // Before a future tells of it.
            counts_.lost += lost;
            for (BoardTask* task : again) {
                give_back(*task);
            }
        }
        for (BoardTask* task : running) {
            if (task != nullptr) {
                slot_tasks_[index_of(task->position)].store(nullptr);
                conclude(*task);
            }
        }
    }
    forget_worker(worker);
    return lost;
}

void Board::give_back(BoardTask& task) noexcept {
    // It has been on the board before: the next one to be placed.
    const auto index = index_of(task.position);
    Slot& slot = slots_[index];
    if (slot.item.place == MessagePlace::slot && !task.keep_message) {
        try {
            task.message.assign({slot.item.bytes.data(), slot.item.length});
        } catch (const std::bad_alloc&) {
            task.failure = std::current_exception();
            task.end = TaskEnd::failed;
        }
    }
    slot.word.store(slot_word(task.position, SlotKind::free));
    slot_tasks_[index].store(nullptr);
    if (task.failure) {
        conclude(task);
        return;
    }
    task.position = BoardTask::unplaced;
    backlog_.push_front(task);
    backlog_size_.fetch_add(1);
    ++counts_.given_back;
}

void Board::forget_worker(std::uint32_t worker) noexcept {
    BoardHeader& header = view_.header();
    header.sleepers.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
    header.searching.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
    drain();
    refill();
    // A wake that was given to it, or its promise to search, may have died with it.
    kick_workers();
    if (leading_.load()) {
        kick_leader();
    }
}

}  // namespace futures::detail
