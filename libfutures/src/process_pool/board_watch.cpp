// SPDX-License-Identifier: BSL-1.0
// The board's watch: a task of the program may write anywhere in the memory that it
// shares with the pool. What the parent alone writes there is compared with what it
// knows; what workers write has to be possible. What is not is damage: tasks may be
// lost then, and the pool is broken instead of waited for. Nothing here takes a worker
// for damaged because it is slow, or stopped.
#include "process_pool/board.hpp"

#include <algorithm>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::report_damage(const char* what) noexcept {
    const char* none = nullptr;
    if (damage_.compare_exchange_strong(none, what)) {
        doorbell_.ring();
    }
}

/// `head` was read under the lock that we have.
void Board::check_header(std::uint64_t head) noexcept {
    BoardHeader& header = view_.header();
    // The head only grows, and is helped over no position that is not below the tail.
    if (head > tail_ || head < guard_head_) {
        report_damage("which task is the next");
    }
    if (header.tail.load() != tail_) {
        report_damage("how many tasks there are");
    }
    if (header.stop.load() != stop_ || header.trims.load() != trims_) {
        report_damage("what workers are told to do");
    }
    if (header.next_look.load() != next_look_) {
        report_damage("when tasks are looked at");
    }
    if (header.slots != options_.slots || header.workers != options_.workers ||
        header.places_used.load() != used_.load()) {
        report_damage("its measures");
    }
    for (std::size_t i = 0; i < BoardView::set_words(options_.workers); ++i) {
        const auto bits =
            header.sleepers.word(i).load() | header.searching.word(i).load();
        if ((bits & ~BoardView::set_mask(i, used_.load())) != 0) {
            report_damage("which workers sleep");
        }
    }
}

/// Looks for tasks that no worker will ever finish.
void Board::check_tasks() noexcept {
    const MutexLock draining(drain_mutex_);
    drain_all();  // what is done is no longer looked at
    const MutexLock lock(mutex_);
    if (failed_) {
        return;
    }
    std::fill(held_.begin(), held_.end(), 0);
    // Before the words: a worker moves it over a position that is not ready any more.
    const std::uint64_t head = view_.header().head.load();
    for (Index i = 0; i < options_.slots; ++i) {
        const BoardTask* const task = slot_tasks_[i].load();
        if (task == nullptr) {
            continue;
        }
        const SlotWord word = slots_[i].word.load();
        if (const char* what = impossible_word(word, task->position, head)) {
            report_damage(what);
        } else if (kind_of(word) != SlotKind::ready) {
            ++held_[worker_of(word)];
        }
    }
    for (std::uint32_t worker = 0; worker < options_.workers; ++worker) {
        if (has_process_[worker] != 0) {
            check_workers_share(worker);
            check_wait_for_room(worker);
        } else if (has_bits(worker)) {
            clear_bits_of(worker);  // one that nobody would ever clear costs wake-ups
        }
    }
}

/// What is wrong with the word of a task that is on the board, or null.
const char* Board::impossible_word(
    SlotWord word, std::uint64_t position, std::uint64_t head
) const noexcept {
    if (position_of(word) != position) {
        return "whose task stands where";
    }
    switch (kind_of(word)) {
    case SlotKind::ready:
        return position < head ? "a task that nobody has" : nullptr;
    case SlotKind::claimed:
    case SlotKind::running:
        return can_have(worker_of(word), position) ? nullptr : "who has a task";
    case SlotKind::free:
    case SlotKind::cancelled:
        break;
    }
    return "whether a task is there";
}

/// Requires: all that the worker told of was drained, and its word was read before.
bool Board::can_have(std::uint32_t worker, std::uint64_t position) const noexcept {
    // A task is claimed when the head is there, and not before.
    return worker < options_.workers && has_process_[worker] != 0 &&
           position >= rings_[worker].finished_below &&
           position <= view_.header().head.load();
}

/// It sleeps or searches, it is said.
bool Board::has_bits(std::uint32_t worker) const noexcept {
    BoardHeader& header = view_.header();
    const auto said = header.sleepers.word_of(worker).load() |
                      header.searching.word_of(worker).load();
    return (said & WorkerSet::bit_of(worker)) != 0;
}

bool Board::is_asleep(std::uint32_t worker) const noexcept {
    return (view_.header().sleepers.word_of(worker).load() & WorkerSet::bit_of(worker)
           ) != 0;
}

/// A worker has one task at a time, and none while it sleeps; what it has finished
/// since we looked stands in its ring.
void Board::check_workers_share(std::uint32_t worker) noexcept {
    // In this order: what was its task when we saw the word is counted by the time that
    // the worker sleeps.
    const std::uint32_t most = is_asleep(worker) ? 0 : 1;
    const std::uint64_t finished =
        view_.control(worker).results_written.load() - rings_[worker].read.load();
    if (held_[worker] > most + finished && !rings_[worker].faulty.load()) {
        report_damage("which task a worker has");
    }
}

/// A worker may wait for room that we gave back, in a list that is lost.
void Board::check_wait_for_room(std::uint32_t worker) noexcept {
    // What it has told of was drained before, and given back where that matters. Read
    // in this order, and the ring last: nothing is told of meanwhile.
    if (arenas_[worker]->waits_in_vain() &&
        view_.control(worker).results_written.load() == rings_[worker].read.load()) {
        distrust(worker);
    }
}

}  // namespace futures::detail
