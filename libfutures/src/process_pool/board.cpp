// SPDX-License-Identifier: BSL-1.0
#include "process_pool/board.hpp"

#include "mp/errors.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <new>
#include <string>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

// ---- TaskList

void TaskList::push_back(BoardTask& task) noexcept {
    task.next = nullptr;
    task.previous = last_;
    (last_ != nullptr ? last_->next : first_) = &task;
    last_ = &task;
}

void TaskList::push_front(BoardTask& task) noexcept {
    task.previous = nullptr;
    task.next = first_;
    (first_ != nullptr ? first_->previous : last_) = &task;
    first_ = &task;
}

BoardTask& TaskList::pop_front() noexcept {
    BoardTask& task = *first_;
    remove(task);
    return task;
}

void TaskList::remove(BoardTask& task) noexcept {
    (task.previous != nullptr ? task.previous->next : first_) = task.next;
    (task.next != nullptr ? task.next->previous : last_) = task.previous;
    task.next = nullptr;
    task.previous = nullptr;
}

// ---- Board

Board::Board(BoardOptions options)
    : options_(options),
      segment_("mp-board", BoardView::size_for(options.slots, options.workers)),
      view_(segment_.data()),
      slot_tasks_(new std::atomic<BoardTask*>[options.slots]()),
      arenas_(options.workers) {
    BoardHeader& header = view_.header();
    header.slots = options.slots;
    header.workers = options.workers;
    slots_ = view_.slots();
    header.submit_cpu = -1;
}

Board::~Board() = default;

bool Board::submit(BoardTask& task, std::span<const std::byte> call) {
    if (task.keep_message && !call.empty()) {
        task.message.assign(call);
        call = {};
    }
    std::uint64_t tail = 0;
    {
        const MutexLock lock(mutex_);
        if (refusing_) {
            return false;
        }
        if (!backlog_.empty() || !place(task, call)) {
            put_in_backlog(task, call);
        }
        // order: a count; see outstanding().
        submitted_.store(
            submitted_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed
        );
        tail = tail_;
    }
    auto& cpu = view_.header().submit_cpu;
    const int here = current_cpu();
    // order: a hint for StepAside.
    if (cpu.load(std::memory_order_relaxed) != here) {
        cpu.store(here, std::memory_order_relaxed);
    }
    wake_for_work(tail);
    guard_timer_.arm();
    return true;
}

void Board::put_in_backlog(BoardTask& task, std::span<const std::byte> call) {
    if (!call.empty()) {
        task.message.assign(call);
    }
    const bool first = backlog_.empty();
    backlog_.push_back(task);
    backlog_size_.fetch_add(1);
    // order: pairs with drain_all(): it frees slots, then looks at the backlog's size;
    // we stored the size, and look at the slots again. Only the first in line has to:
    // who drains while there is a backlog sees it.
    full_fence();
    if (first && place(task, {})) {
        backlog_.pop_front();
        backlog_size_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
    }
}

bool Board::place(BoardTask& task, std::span<const std::byte> call) {
    std::uint64_t position = tail_;
    // order: pairs with drain_ring, so that what the slot's last task left is read
    // before it is written over.
    while (slot_tasks_[index_of(position)].load(std::memory_order_acquire) != nullptr) {
        // order: only the kind matters; whether somebody claims it right now does not.
        const SlotWord word =
            slots_[index_of(position)].word.load(std::memory_order_relaxed);
        if (kind_of(word) == SlotKind::ready ||
            position - tail_ >= options_.slots - 1) {
            return false;
        }
        ++position;  // a long task still has this slot: skip the position
    }
    Slot& slot = slots_[index_of(position)];
    put(slot, task, call);
    task.position = position;
    // order: pairs with drain_ring(), so that the task is seen. (The worker's commit
    // says so, too, but no tool sees what passes through another process.)
    slot_tasks_[index_of(position)].store(&task, std::memory_order_release);
    // order: pairs with BoardWorker::claim, so that it reads the message.
    slot.word.store(slot_word(position, SlotKind::ready), std::memory_order_release);
    tail_ = position + 1;
    // order: pairs with BoardWorker::claim, so that skipped positions are skipped.
    view_.header().tail.store(tail_, std::memory_order_release);
    return true;
}

void Board::put(Slot& slot, BoardTask& task, std::span<const std::byte> call) noexcept {
    if (const Block& block = task.message.block()) {
        const BlockReference reference{block.offset(), block.size()};
        slot.item.place = MessagePlace::arena;
        slot.item.length = sizeof reference;
        std::memcpy(slot.item.bytes.data(), &reference, sizeof reference);
        return;
    }
    const auto bytes = call.empty() ? task.message.bytes() : call;
    slot.item.place = MessagePlace::slot;
    slot.item.length = static_cast<std::uint32_t>(bytes.size());
    std::memcpy(slot.item.bytes.data(), bytes.data(), bytes.size());
    if (!task.keep_message) {
        task.message.clear();
    }
}

void Board::wake_for_work(std::uint64_t tail) noexcept {
    // order: pairs with BoardWorker::sleep: it sets its bit, then looks at the tail; we
    // stored the tail, then look at the bits. One of us sees the other.
    full_fence();
    BoardHeader& header = view_.header();
    bool sleepers = false;
    int searching = 0;
    for (std::size_t i = 0; i < view_.set_words(); ++i) {
        // order: after the fence.
        sleepers =
            sleepers || header.sleepers.word(i).load(std::memory_order_relaxed) != 0;
    }
    if (!sleepers) {
        return;
    }
    for (std::size_t i = 0; i < view_.set_words(); ++i) {
        searching +=
            std::popcount(header.searching.word(i).load(std::memory_order_relaxed));
    }
    const auto unclaimed =
        static_cast<std::int64_t>(tail - header.head.load(std::memory_order_relaxed));
    if (unclaimed > searching) {
        wake_worker();
    }
}

void Board::wake_worker() noexcept {
    BoardHeader& header = view_.header();
    for (std::size_t i = 0; i < view_.set_words(); ++i) {
        auto& sleepers = header.sleepers.word(i);
        for (auto seen = sleepers.load(); seen != 0; seen = sleepers.load()) {
            const auto bit = seen & ~(seen - 1);
            // The bit first, the wake second: the other order could clear the next
            // registration of the same worker.
            if ((sleepers.fetch_and(~bit) & bit) != 0) {
                const auto worker = static_cast<std::uint32_t>(i * 64) +
                                    static_cast<std::uint32_t>(std::countr_zero(bit));
                auto& park = view_.control(worker).park;
                park.store(1);
                futex_wake(park, 1, FutexScope::shared);
                // order: a count.
                worker_wakes_.fetch_add(1, std::memory_order_relaxed);
                return;
            }
        }
    }
}

void Board::kick_workers() noexcept {
    BoardHeader& header = view_.header();
    for (std::uint32_t worker = 0; worker < options_.workers; ++worker) {
        header.sleepers.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
        auto& park = view_.control(worker).park;
        park.store(1);
        futex_wake(park, 1, FutexScope::shared);
    }
}

void Board::stop_workers() noexcept {
    view_.header().stop.store(1);
    kick_workers();
}

void Board::refuse() noexcept {
    const MutexLock lock(mutex_);
    refusing_ = true;
}

bool Board::cancel(BoardTask& task) noexcept {
    {
        const MutexLock lock(mutex_);
        if (task.taken_back) {
            return true;
        }
        if (task.is_finished()) {
            return false;
        }
        if (task.position == BoardTask::unplaced) {
            if (failed_) {
                return false;  // fail_all() has it
            }
            backlog_.remove(task);
            backlog_size_.fetch_sub(1, std::memory_order_relaxed);  // order: a hint
        } else {
            const auto index = index_of(task.position);
            SlotWord ready = slot_word(task.position, SlotKind::ready);
            // order: pairs with BoardWorker::claim: one of us gets it.
            if (!slots_[index].word.compare_exchange_strong(
                    ready,
                    slot_word(task.position, SlotKind::cancelled),
                    std::memory_order_acq_rel
                )) {
                return false;
            }
            // order: pairs with place().
            slot_tasks_[index].store(nullptr, std::memory_order_release);
        }
        task.message.clear();
        task.taken_back = true;
        concluded_.fetch_add(1, std::memory_order_relaxed);  // order: a count
    }
    return true;
}

bool Board::is_running(const BoardTask& task) const noexcept {
    const MutexLock lock(mutex_);
    if (task.position == BoardTask::unplaced || task.taken_back) {
        return false;
    }
    // order: a momentary answer.
    const SlotWord word =
        slots_[index_of(task.position)].word.load(std::memory_order_relaxed);
    return kind_of(word) == SlotKind::running && position_of(word) == task.position;
}

// ---- results

std::size_t Board::drain() noexcept {
    const MutexLock lock(drain_mutex_);
    return drain_all();
}

std::size_t Board::drain_all() noexcept {
    std::size_t ended = 0;
    for (std::uint32_t worker = 0; worker < options_.workers; ++worker) {
        ended += drain_ring(worker);
    }
    if (ended > 0) {
        // order: a hint for spin().
        last_drained_.store(ended, std::memory_order_relaxed);
        // order: pairs with put_in_backlog().
        full_fence();
        if (backlog_size_.load(std::memory_order_relaxed) > 0) {
            refill();
        }
    }
    return ended;
}

std::size_t Board::drain_ring(std::uint32_t worker) noexcept {
    WorkerControl& control = view_.control(worker);
    // order: only this side writes it, under the drain lock.
    std::uint64_t read = control.results_read.load(std::memory_order_relaxed);
    // order: pairs with BoardWorker::commit, so that the entry and the message are
    // seen.
    const std::uint64_t written =
        control.results_written.load(std::memory_order_acquire);
    if (read == written || written - read > options_.slots) {
        return 0;  // more than there are slots: a faulty worker, see guard()
    }
    const ResultItem* ring = view_.ring(worker);
    std::size_t ended = 0;
    for (; read != written; ++read) {
        const ResultItem& item = ring[index_of(read)];
        auto& owner = slot_tasks_[index_of(item.position)];
        // order: pairs with place().
        BoardTask* task = owner.load(std::memory_order_acquire);
        if (task == nullptr || task->position != item.position) {
            ++stray_;
            continue;
        }
        take_result(*task, item, worker);
        // order: pairs with place(), so that the slot is written after it was read.
        owner.store(nullptr, std::memory_order_release);
        ++ended;
        conclude(*task);
    }
    // order: pairs with nothing: any_result() of other threads may see it late.
    control.results_read.store(read, std::memory_order_release);
    return ended;
}

void Board::take_result(BoardTask& task, const ResultItem& item, std::uint32_t worker) {
    task.end = item.kind == ResultKind::value ? TaskEnd::value : TaskEnd::exception;
    try {
        const Slot& slot = slots_[index_of(item.position)];
        switch (item.place) {
        case MessagePlace::item:
            task.message.assign(
                {item.bytes.data(),
                 std::min<std::size_t>(item.length, ResultItem::capacity)}
            );
            return;
        case MessagePlace::slot:
            task.message.assign(
                {slot.item.bytes.data(),
                 std::min<std::size_t>(item.length, CallItem::capacity)}
            );
            return;
        case MessagePlace::arena: {
            BlockReference reference{};
            std::memcpy(&reference, item.bytes.data(), sizeof reference);
            task.message.adopt(arenas_[worker]->open(reference));
            return;
        }
        }
        throw mp::SerializationError(
            mp::SerializationPhase::decode_result, "a worker wrote a malformed result"
        );
    } catch (...) {
        task.message.clear();
        task.end = TaskEnd::failed;
        task.failure = std::current_exception();
    }
}

void Board::conclude(BoardTask& task) noexcept {
    // order: a count.
    concluded_.fetch_add(1, std::memory_order_relaxed);
    BoardTask* const address = &task;
    if (task.finish()) {
        with_callbacks_.push_back(task);
        doorbell_.ring();
    }
    // From here on the task may be gone; only its address is compared.
    kick_waiter_for(address);
}

std::size_t Board::run_callbacks() noexcept {
    for (std::size_t ran = 0;; ++ran) {
        BoardTask* task = nullptr;
        {
            const MutexLock lock(drain_mutex_);
            if (with_callbacks_.empty()) {
                return ran;
            }
            task = &with_callbacks_.pop_front();
        }
        task->finish_callbacks();
    }
}

void Board::refill() noexcept {
    std::uint64_t tail = 0;
    std::uint64_t placed = 0;
    {
        const MutexLock lock(mutex_);
        while (!backlog_.empty() && !failed_) {
            // Out of the list first: once it is placed it may run, end, be drained by
            // another thread and be freed before the next line.
            BoardTask& task = backlog_.pop_front();
            if (!place(task, {})) {
                backlog_.push_front(task);
                break;
            }
            ++placed;
        }
        backlog_size_.fetch_sub(placed, std::memory_order_relaxed);  // order: a hint
        tail = tail_;
    }
    if (placed > 0) {
        wake_for_work(tail);
    }
}

}  // namespace futures::detail
