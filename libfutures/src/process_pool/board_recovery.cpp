// SPDX-License-Identifier: BSL-1.0
// The board's workers come and go: a place for a new one, and what a dead one leaves.
#include "mp/errors.hpp"

#include "process_pool/board.hpp"

#include <algorithm>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::prepare(std::uint32_t worker, std::shared_ptr<ResultArenaReader> arena) {
    const MutexLock lock(drain_mutex_);
    arenas_[worker] = std::move(arena);
    has_process_[worker] = 1;
    WorkerControl& control = view_.control(worker);
    control.park.store(0);
    control.results_written.store(0);
    control.results_ready.store(0);
    rings_[worker].read.store(0);
    rings_[worker].faulty.store(false);
    rings_[worker].finished_below = 0;
    control.phase.store(WorkerPhase::starting);
    control.task_begun.store(0);
    control.last_step.store(LastStep::none);
    control.retire.store(0);
    control.idled.store(0);
    control.has_link.store(0);
    control.limited_task.store(0);
    control.stopped_task.store(0);
    if (worker >= used_.load()) {
        const MutexLock placing(mutex_);  // of check_header()
        used_.store(worker + 1);
        view_.header().places_used.store(worker + 1);
    }
    control.crash.signal.store(0);
    control.crash.message.kind = CrashMessage::Kind::none;
    clear_bits_of(worker);
}

/// Nobody of that number sleeps or searches.
void Board::clear_bits_of(std::uint32_t worker) noexcept {
    BoardHeader& header = view_.header();
    header.sleepers.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
    header.searching.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
    header.asking.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
}

Message Board::initializer_failure(std::uint32_t worker) {
    Message message;
    const ResultItem item = copied(*view_.ring(worker));
    const MutexLock lock(drain_mutex_);
    ResultArenaReader& arena = *arenas_[worker];
    const BlockReference reference = item.block();
    if (item.position == ResultItem::of_initializer &&
        item.sum == sum_of(item, {worker, 0}).value() && arena.has(reference)) {
        // Out of memory that others see, before it is looked at.
        const Block block = arena.open(reference);
        message.assign(block.bytes());
    }
    return message;
}

Board::Leftovers Board::leftovers_of(std::uint32_t worker) {
    Leftovers found;
    const MutexLock lock(mutex_);
    for (Index i = 0; i < options_.slots; ++i) {
        BoardTask* const task = slot_tasks_[i].load();
        const SlotWord word = slots_[i].word.load();
        if (task == nullptr || worker_of(word) != worker ||
            position_of(word) != task->position) {
            continue;
        }
        const SlotKind kind = kind_of(word);
        const bool begun = std::exchange(task->begun, false);
        if (task->position < rings_[worker].finished_below) {
            continue;  // another one has it, or none: check_tasks() tells of it
        }
        if (kind == SlotKind::claimed && !begun && task->stop == TaskStop::no) {
            found.claimed.push_back(task);
        } else if (kind == SlotKind::claimed || kind == SlotKind::running) {
            found.running.push_back(task);
        }
    }
    // It had one task at a time, and has told of all others.
    if (found.claimed.size() + found.running.size() > 1 &&
        !rings_[worker].faulty.load()) {
        report_damage("which task a worker has");
        return {};  // each may be another worker's, and would run twice
    }
    return found;
}

void Board::take_ready_result(std::uint32_t worker) noexcept {
    const MutexLock draining(drain_mutex_);
    WorkerControl& control = view_.control(worker);
    const std::uint64_t ready = control.results_ready.load();
    if (ready == control.results_written.load() + 1) {
        control.results_written.store(ready);
        drain_all();
    }
}

std::size_t Board::recover(std::uint32_t worker, const Verdict& verdict) {
    std::vector<BoardTask*> running;
    std::size_t lost = 0;
    // Its memory, but for what was delivered from it: given back behind the lock.
    std::shared_ptr<ResultArenaReader> arena;
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
                ++task->attempt;
                again.push_back(std::exchange(task, nullptr));
            } else if (task->stop != TaskStop::cancelled) {
                ++lost;
            }
        }
        std::sort(again.begin(), again.end(), [](const auto* a, const auto* b) {
            return a->position > b->position;
        });
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
        has_process_[worker] = 0;
        arena = std::move(arenas_[worker]);
    }
    forget_worker(worker);
    // Something may have been written over its tasks, so that they were not found.
    check_tasks();
    return lost;
}

void Board::give_back(BoardTask& task) noexcept {
    // It has been on the board before: the next one to be placed.
    const auto index = index_of(task.position);
    Slot& slot = slots_[index];
    if (!task.message.block() && !task.keep_message && !take_call_back(task, slot)) {
        return;  // it stays there until the board fails
    }
    slot.word.store(slot_word(task.position, SlotKind::free));
    slot_tasks_[index].store(nullptr);
    if (task.failure) {
        conclude(task);
        return;
    }
    task.position = BoardTask::unplaced;
    queue_again(task);
    ++counts_.given_back;
}

/// The call stands nowhere else. False if it is not what we wrote.
bool Board::take_call_back(BoardTask& task, const Slot& slot) noexcept {
    CallCopy call;
    if (!copy_call(call, slot.item, task.position) ||
        call.place != MessagePlace::slot) {
        report_damage("a call that a worker had not begun");
        return false;
    }
    try {
        task.message.assign(call.message());
    } catch (const std::bad_alloc&) {
        task.failure = std::current_exception();
        task.end = TaskEnd::failed;
    }
    return true;
}

void Board::forget_worker(std::uint32_t worker) noexcept {
    clear_bits_of(worker);
    drain();
    refill();
    // A wake that was given to it, or its promise to search, may have died with it.
    kick_workers();
    if (leading_.load()) {
        kick_leader();
    }
}

}  // namespace futures::detail
