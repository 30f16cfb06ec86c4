// SPDX-License-Identifier: BSL-1.0
// The board's wake-ups: workers are woken for work, and all of them when a wake-up may
// have been lost.
#include "os/fence.hpp"
#include "process_pool/board.hpp"
#include "process_pool/worker_wake.hpp"

#include <bit>

namespace futures::detail {

using mp::detail::MutexLock;

void Board::wake_for_work(std::uint64_t tail) noexcept {
    // order: pairs with BoardWorker::sleep: it sets its bit, then looks at the tail; we
    // stored the tail, then look at the bits. One of us sees the other.
    mp::os::full_fence();
    BoardHeader& header = view_.header();
    // order: relaxed, as the bits: who has one was counted before.
    const std::uint32_t used = used_.load(std::memory_order_relaxed);
    const std::size_t words = BoardView::set_words(used);
    bool sleepers = false;
    int searching = 0;
    for (std::size_t i = 0; i < words; ++i) {
        // order: after the fence.
        sleepers =
            sleepers || (header.sleepers.word(i).load(std::memory_order_relaxed) &
                         BoardView::set_mask(i, used)) != 0;
    }
    if (!sleepers) {
        return;
    }
    for (std::size_t i = 0; i < words; ++i) {
        // order: a hint; a searcher that leaves work behind wakes another worker.
        searching += std::popcount(
            header.searching.word(i).load(std::memory_order_relaxed) &
            BoardView::set_mask(i, used)
        );
    }
    // order: a hint, as above.
    const auto unclaimed =
        static_cast<std::int64_t>(tail - header.head.load(std::memory_order_relaxed));
    if (unclaimed > searching && wake_one_worker(view_)) {
        worker_wakes_.fetch_add(1, std::memory_order_relaxed);  // order: a count
    }
}

void Board::kick_workers() noexcept {
    BoardHeader& header = view_.header();
    for (std::uint32_t worker = 0; worker < used_.load(); ++worker) {
        header.sleepers.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
        wake_worker(view_, worker);
    }
}

void Board::retire_worker(std::uint32_t worker) noexcept {
    view_.control(worker).retire.store(retire_told);
    view_.header().sleepers.word_of(worker).fetch_and(~WorkerSet::bit_of(worker));
    wake_worker(view_, worker);
}

bool Board::keep_worker(std::uint32_t worker) noexcept {
    std::uint32_t told = retire_told;
    return view_.control(worker).retire.compare_exchange_strong(told, 0) || told == 0;
}

void Board::stop_workers() noexcept {
    {
        const MutexLock lock(mutex_);
        stop_ = 1;
        view_.header().stop.store(1);
    }
    kick_workers();
}

bool Board::guard() noexcept {
    // Half a second: what was lost is told of soon, and looking costs nothing.
    constexpr std::uint32_t ticks_between_checks = 25;
    guard_timer_->answer();
    bool again = false;
    bool stuck = false;
    {
        const MutexLock lock(mutex_);
        ++counts_.guard_ticks;
        const std::uint64_t head = view_.header().head.load();
        check_header(head);
        const bool work = head < tail_;
        // Somebody may have been woken for it who is stopped, or was killed.
        stuck = work && head == guard_head_;
        guard_head_ = head;
        again = work || needs_workers();
    }
    if (stuck) {
        kick_workers();
    }
    if (again && ++ticks_to_check_ >= ticks_between_checks) {
        check_tasks();
        want_look();
        ticks_to_check_ = 0;
    }
    if (again) {
        guard_timer_->busy();
        guard_timer_->again();
        return false;
    }
    if (guard_timer_->rested()) {
        guard_timer_->idle();
        return true;
    }
    guard_timer_->rest();
    mp::os::full_fence();  // either we see what is submitted now, or it arms the timer
    if (needs_workers()) {
        guard_timer_->arm();  // submitted since we looked
    }
    return false;
}

void Board::trim() noexcept {
    {
        const MutexLock lock(mutex_);
        view_.header().trims.store(++trims_);
    }
    kick_workers();
}

}  // namespace futures::detail
