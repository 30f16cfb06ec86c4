// SPDX-License-Identifier: BSL-1.0
#include "process_pool/board.hpp"

#include "mp/errors.hpp"

#include "os/fence.hpp"
#include "process_pool/step_aside.hpp"

#include <algorithm>
#include <cstring>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

Board::Board(BoardOptions options)
    : options_(options),
      segment_("mp-board", BoardView::size_for(options.slots, options.workers)),
      view_(segment_.data(), options.slots, options.workers),
      guard_timer_(std::make_shared<GuardTimer>(options.trim_threshold)),
      slot_tasks_(new std::atomic<BoardTask*>[options.slots]()),
      rings_(new RingState[options.workers]()),
      arenas_(options.workers),
      has_process_(options.workers),
      held_(options.workers) {
    slots_ = view_.slots();
    write_header();
}

void Board::write_header() noexcept {
    BoardHeader& header = view_.header();
    header.slots = options_.slots;
    header.workers = options_.workers;
    // Of the pool's share, the calls' arena keeps one part, too.
    header.trim_threshold = options_.trim_threshold / (size_ + 1);
    header.submit_cpu = -1;
    header.places_used.store(used_.load());
}

Board::~Board() = default;

bool Board::submit(
    BoardTask& task, std::span<const std::byte> call, Admission admission
) {
    if (task.keep_message && !call.empty()) {
        task.message.assign(call);
        call = {};
    }
    std::uint64_t tail = 0;
    {
        const MutexLock lock(mutex_);
        if (refusing_ && (failed_ || admission == Admission::asked)) {
            return false;
        }
        // First: nobody sees it concluded and not submitted.
        // order: a count; see outstanding().
        submitted_.store(
            submitted_.load(std::memory_order_relaxed) + 1, std::memory_order_relaxed
        );
        try {
            if (task.priority != 0 || is_ranking_) [[unlikely]] {
                submit_ranked(task, call);
            } else if (!backlog_.empty() || !place(task, call)) {
                put_in_backlog(task, call);
            }
        } catch (...) {
            // order: as above.
            submitted_.store(
                submitted_.load(std::memory_order_relaxed) - 1,
                std::memory_order_relaxed
            );
            throw;
        }
        tail = tail_;
    }
    auto& cpu = view_.header().submit_cpu;
    const int here = current_cpu();
    // order: a hint for StepAside.
    if (cpu.load(std::memory_order_relaxed) != here) {
        cpu.store(here, std::memory_order_relaxed);
    }
    wake_for_work(tail);
    guard_timer_->arm();
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
    mp::os::full_fence();
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
    put(slot.item, position, task, call);
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

void Board::put(
    CallItem& item,
    std::uint64_t position,
    BoardTask& task,
    std::span<const std::byte> call
) noexcept {
    BlockReference reference{};
    CallAbout about{};
    about.attempt = static_cast<std::uint16_t>(
                        std::min<std::uint32_t>(task.attempt, CallAbout::most_attempts)
                    ) &
                    CallAbout::most_attempts;
    about.has_trailer = task.has_trailer ? 1 : 0;
    const auto write = [&](MessagePlace place, const std::byte* from, std::size_t size
                       ) {
        item.about = about;
        item.place = place;
        item.length = static_cast<std::uint8_t>(size);
        item.sum = copy_call(item.bytes.data(), from, size, place, position, about);
    };
    if (const Block& block = task.message.block()) {
        reference = {block.offset(), block.size()};
        write(
            MessagePlace::arena,
            reinterpret_cast<const std::byte*>(&reference),
            sizeof reference
        );
        return;
    }
    const auto bytes = call.empty() ? task.message.bytes() : call;
    write(MessagePlace::slot, bytes.data(), bytes.size());
    if (!task.keep_message) {
        task.message.clear();
    }
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
            remove_waiting(task);
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
        // order: release pairs with outstanding(), which sees the submission.
        concluded_.fetch_add(1, std::memory_order_release);
    }
    // order: a hint. Its place is another's: no result may come that would say so.
    if (backlog_size_.load(std::memory_order_relaxed) > 0) {
        refill();
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
        if (is_ranking_ && !failed_) {
            placed += place_ranked();
        }
        tail = tail_;
    }
    if (placed > 0) {
        wake_for_work(tail);
    }
}

void Board::visit_taken(const std::function<void(BoardTask&, std::uint32_t)>& visitor) {
    const MutexLock draining(drain_mutex_);
    for (Index i = 0; i < options_.slots; ++i) {
        BoardTask* const task = slot_tasks_[i].load();
        const SlotWord word = slots_[i].word.load();
        const bool taken =
            kind_of(word) == SlotKind::running || kind_of(word) == SlotKind::claimed;
        if (task != nullptr && taken && position_of(word) == task->position &&
            worker_of(word) < options_.workers) {
            visitor(*task, worker_of(word));
        }
    }
}

BoardStatistics Board::statistics() const {
    BoardStatistics result;
    {
        const MutexLock lock(mutex_);
        result = counts_;
    }
    {
        const MutexLock lock(drain_mutex_);
        result.stray_results = stray_;
    }
    // In this order: what is concluded was submitted.
    result.concluded = concluded_.load();
    result.submitted = submitted_.load();
    result.backlog = backlog_size_.load();
    result.worker_wakes = worker_wakes_.load();
    return result;
}

}  // namespace futures::detail
