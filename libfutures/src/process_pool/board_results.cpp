// SPDX-License-Identifier: BSL-1.0
// The board's results: from the workers' rings into the tasks, and told to their
// futures.
#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "os/fence.hpp"
#include "process_pool/board.hpp"

#include <array>
#include <utility>

namespace futures::detail {

using mp::detail::MutexLock;

bool Board::any_result() const noexcept {
    // order: one that is new has no result yet.
    const std::uint32_t used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t worker = 0; worker < used; ++worker) {
        const RingState& ring = rings_[worker];
        // order: only says whether to take the lock; drain_ring() looks with the order
        // it needs. After enlist()'s fence this is the re-check that pairs with
        // BoardWorker::tell.
        if (view_.control(worker).results_written.load(std::memory_order_acquire) !=
                ring.read.load(std::memory_order_relaxed) &&
            !ring.faulty.load(std::memory_order_relaxed)) {
            return true;
        }
    }
    return false;
}

std::size_t Board::try_drain() noexcept {
    if (!any_result() || !drain_mutex_.try_lock()) {
        return 0;
    }
    const std::size_t ended = drain_all();
    drain_mutex_.unlock();
    return ended;
}

std::size_t Board::drain() noexcept {
    const MutexLock lock(drain_mutex_);
    return drain_all();
}

std::uint64_t Board::told_by(std::uint32_t worker) noexcept {
    const MutexLock lock(drain_mutex_);
    drain_all();
    return rings_[worker].read.load();
}

std::size_t Board::drain_all() noexcept {
    std::size_t ended = 0;
    // order: one that is new has no result yet.
    const std::uint32_t used = used_.load(std::memory_order_relaxed);
    for (std::uint32_t worker = 0; worker < used; ++worker) {
        ended += drain_ring(worker);
    }
    if (ended > 0) {
        // order: pairs with put_in_backlog().
        mp::os::full_fence();
        if (backlog_size_.load(std::memory_order_relaxed) > 0) {
            refill();
        }
    }
    return ended;
}

namespace {

/// It may have to run again: it threw, not because it was asked to stop, or its time
/// was up and it ended softly.
bool is_asked_about(const BoardTask& task) noexcept {
    return (task.end == TaskEnd::exception && task.stop == TaskStop::no) ||
           (task.end == TaskEnd::stopped && task.stop == TaskStop::timeout);
}

}  // namespace

std::size_t Board::drain_ring(std::uint32_t worker) noexcept {
    RingState& state = rings_[worker];
    // order: written under the drain lock only, which we have.
    std::uint64_t read = state.read.load(std::memory_order_relaxed);
    // order: pairs with BoardWorker::commit, so that the entry and the message are
    // seen.
    const std::uint64_t written =
        view_.control(worker).results_written.load(std::memory_order_acquire);
    // order: as `read`.
    if (read == written || state.faulty.load(std::memory_order_relaxed)) {
        return 0;
    }
    if (written - read > options_.slots) {
        distrust(worker);  // more than there are slots
        return 0;
    }
    const ResultItem* ring = view_.ring(worker);
    std::size_t ended = 0;
    for (; read != written; ++read) {
        const ResultItem& entry = ring[index_of(read)];
        // By itself first, to look for the task while the rest is copied.
        const std::uint64_t position = copied(entry.position);
        const ResultItem item = copied(entry);
        auto& in_slot = slot_tasks_[index_of(position)];
        // order: pairs with place().
        BoardTask* task = in_slot.load(std::memory_order_acquire);
        const bool has_task = task != nullptr && task->position == position;
        if (!has_task && over_) {
            ++stray_;
            continue;
        }
        if (!has_task || item.position != position ||
            !take_any_result(*task, item, {worker, read})) {
            distrust(worker);
            break;
        }
        // order: pairs with place(), so that the slot is written after it was read.
        in_slot.store(nullptr, std::memory_order_release);
        state.finished_below = position + 1;
        ++ended;
        if (task->may_throw_again && is_asked_about(*task)) [[unlikely]] {
            thrown_.push_back(*task);
            any_thrown_ = true;
            doorbell_.ring();
        } else {
            conclude(*task);
        }
    }
    // order: other threads' any_result() may see it late, and then takes the lock in
    // vain.
    state.read.store(read, std::memory_order_relaxed);
    return ended;
}

/// The manager sees to it that it dies.
void Board::distrust(std::uint32_t worker) noexcept {
    rings_[worker].faulty.store(true);
    doorbell_.ring();
}

/// take_result(), and the call of a task that may have to run again is kept.
bool Board::take_any_result(
    BoardTask& task, const ResultItem& item, RingPlace place
) noexcept {
    if (!task.may_throw_again) [[likely]] {
        return take_result(task, item, place);
    }
    Message call = std::exchange(task.message, {});
    if (!take_result(task, item, place)) {
        task.message = std::move(call);
        return false;
    }
    if (task.end != TaskEnd::value) {
        task.keep_call(std::move(call));
    }
    return true;
}

/// False, and the task is as it was, if the entry is not what a worker wrote for it.
bool Board::take_result(
    BoardTask& task, const ResultItem& item, RingPlace place
) noexcept {
    std::array<std::byte, CallItem::capacity> in_slot;
    std::span<const std::byte> bytes = item.bytes();
    ItemSum sum = sum_of(item, place);
    if (item.place == MessagePlace::slot) {
        if (item.length > in_slot.size()) {
            return false;
        }
        // Copied first, then checked: nobody changes it between the two.
        const Slot& slot = slots_[index_of(item.position)];
        sum.add_copying(in_slot.data(), slot.item.bytes.data(), item.length);
        bytes = in_slot;
    }
    if (item.sum != sum.value() || item.length > bytes.size() ||
        item.place > MessagePlace::arena || item.kind > ResultKind::stopped) {
        return false;
    }
    bytes = bytes.first(item.length);
    task.end = item.kind == ResultKind::value     ? TaskEnd::value
               : item.kind == ResultKind::stopped ? TaskEnd::stopped
                                                  : TaskEnd::exception;
    try {
        if (item.place == MessagePlace::arena) {
            // There is none where no worker is, whatever stands in its ring.
            const auto& arena = arenas_[place.worker];
            return arena != nullptr && take_block(task, item, *arena);
        }
        task.message.assign(bytes);
    } catch (...) {
        task.message.clear();
        task.end = TaskEnd::failed;
        task.failure = std::current_exception();
    }
    return true;
}

bool Board::take_block(
    BoardTask& task, const ResultItem& item, ResultArenaReader& arena
) {
    const BlockReference reference = item.block();
    if (!arena.has(reference)) {
        return false;
    }
    if (arena.is_tight()) [[unlikely]] {
        task.message.clear();
        const Block block = arena.open(reference);
        task.message.assign(block.bytes());
    } else {
        task.message.adopt(arena.open(reference));
    }
    return true;
}

void Board::conclude(BoardTask& task) noexcept {
    // order: release pairs with outstanding(), which sees the submission.
    concluded_.fetch_add(1, std::memory_order_release);
    tell_end(task);
}

void Board::tell_end(BoardTask& task) noexcept {
    BoardTask* const address = &task;
    if (task.stop != TaskStop::no) [[unlikely]] {
        task.settle_stop();
    }
    if (task.finish()) {
        tell_by_manager(task);
    }
    // From here on the task may be gone; only its address is compared.
    kick_waiter_for(address);
}

/// The manager takes from the list until it is empty: whoever was first has rung.
void Board::tell_by_manager(BoardTask& task) noexcept {
    const bool first = with_callbacks_.empty();
    with_callbacks_.push_back(task);
    if (first) {
        doorbell_.ring();
    }
}

void Board::conclude_unplaced(BoardTask& task) noexcept {
    BoardTask* const address = &task;
    if (task.finish()) {
        const MutexLock lock(drain_mutex_);
        tell_by_manager(task);
    }
    // As in conclude().
    kick_waiter_for(address);
}

bool Board::has_callbacks_left() {
    const MutexLock lock(drain_mutex_);
    ring_after_callbacks_ =
        in_callbacks_ > 0 || !with_callbacks_.empty() || !thrown_.empty();
    if (in_callbacks_ == 0 && ring_after_callbacks_) {
        doorbell_.ring();
    }
    return ring_after_callbacks_;
}

std::size_t Board::run_callbacks() {
    // Also when a callback ends the thread.
    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    const struct Inside {
        Board& board;

        explicit Inside(Board& of) noexcept : board(of) { ++board.in_callbacks_; }

        ~Inside() {
            if (--board.in_callbacks_ == 0 &&
                std::exchange(board.ring_after_callbacks_, false)) {
                board.doorbell_.ring();
            }
        }
    } inside(*this);
    for (std::size_t ran = 0;; ++ran) {
        BoardTask* task = nullptr;
        {
            const MutexLock lock(drain_mutex_);
            if (with_callbacks_.empty()) {
                return ran;
            }
            task = &with_callbacks_.pop_front();
        }
        try {
            task->finish_callbacks();
        } catch (const mp::detail::ForcedUnwind&) {
            // A callback ended this thread: the others are for the next one.
            const MutexLock lock(drain_mutex_);
            with_callbacks_.push_front(*task);
            throw;
        }
    }
}

}  // namespace futures::detail
