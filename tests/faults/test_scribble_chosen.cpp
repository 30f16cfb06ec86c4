// SPDX-License-Identifier: BSL-1.0
// A task writes over chosen places of the memory that its worker shares with the pool.
// A task that is lost by it breaks the pool, also while others go on; what only says
// who sleeps is made good.
#include "futures/process_pool.hpp"
#include "mp/timeout.hpp"

#include "faults/scribble_load.hpp"
#include "faults/scribbling.hpp"
#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <cstdint>
#include <stdexcept>

using futures::BrokenProcessPool;
using futures::ProcessPoolExecutor;
using futures::detail::BoardView;
using futures::detail::kind_of;
using futures::detail::position_of;
using futures::detail::Slot;
using futures::detail::slot_word;
using futures::detail::SlotKind;
using futures::detail::WorkerPhase;
using futures::detail::WorkerSet;
using test::add;
using test::Load;
using test::soon;
using test::Told;

namespace {

[[noreturn]] void stay() {
    for (;;) {
        ::pause();
    }
}

BoardView board_here() {
    return BoardView(test::mappings_of("mp-board").at(0).data());
}

/// The slot of the task that has been running for longest: that of stay().
Slot& slot_of_stay(const BoardView& board) {
    Slot* found = nullptr;
    for (std::uint64_t i = 0; i < board.slot_count(); ++i) {
        Slot& slot = board.slots()[i];
        const auto word = slot.word.load();
        if (kind_of(word) == SlotKind::running &&
            (found == nullptr || position_of(word) < position_of(found->word.load()))) {
            found = &slot;
        }
    }
    if (found == nullptr) {
        throw std::runtime_error("no task is running");
    }
    return *found;
}

enum class Chosen {
    far_head,
    old_head,
    far_tail,
    old_tail,
    stop,
    measures,
    unknown_sleepers,
    lost_word,
    lost_ready,
    of_no_worker,
    of_sleeper,
    of_another_position,
    more_results,
};

/// In a worker, while stay() runs in another.
int damage(Chosen chosen) {
    const BoardView board = board_here();
    auto& header = board.header();
    Slot& slot = slot_of_stay(board);
    const std::uint64_t position = position_of(slot.word.load());
    const auto free_worker = board.workers() - 1;
    switch (chosen) {
    case Chosen::far_head:
        header.head.store(std::uint64_t{1} << 62U);
        break;
    case Chosen::old_head:
        header.head.store(0);
        break;
    case Chosen::far_tail:
        header.tail.store(std::uint64_t{1} << 62U);
        break;
    case Chosen::old_tail:
        header.tail.store(0);
        break;
    case Chosen::stop:
        header.stop.store(1);
        break;
    case Chosen::measures:
        header.slots = std::uint64_t{1} << 50U;
        header.workers = 4000;
        break;
    case Chosen::unknown_sleepers:
        header.sleepers.word(0).store(~WorkerSet::Word{0});
        break;
    case Chosen::lost_word:
        slot.word.store(0);
        break;
    case Chosen::lost_ready:
        slot.word.store(slot_word(position, SlotKind::ready));
        break;
    case Chosen::of_no_worker:
        slot.word.store(slot_word(position, SlotKind::running, 300));
        break;
    case Chosen::of_sleeper:
        slot.word.store(slot_word(position, SlotKind::running, free_worker));
        break;
    case Chosen::of_another_position:
        slot.word.store(slot_word(position + board.slot_count(), SlotKind::running));
        break;
    case Chosen::more_results:
        for (std::uint32_t worker = 0; worker < board.workers(); ++worker) {
            board.control(worker).results_written.fetch_add(1);
        }
        break;
    }
    return 1;
}

/// Wakes nobody and loses nothing for good: the pool goes on.
int disturb(int round) {
    const BoardView board = board_here();
    auto& header = board.header();
    for (int i = 0; i < 200; ++i) {
        switch (round % 5) {
        case 0:
            header.sleepers.word(0).store(0);
            break;
        case 1:
            header.searching.word(0).store((1U << board.workers()) - 1);
            break;
        case 2:
            header.parent_sleeper.store(0);
            break;
        case 3:
            header.parent_sleeper.store(~std::uint64_t{0});
            header.client_wakes.store(static_cast<std::uint32_t>(i));
            break;
        default:
            for (std::uint32_t worker = 0; worker < board.workers(); ++worker) {
                board.control(worker).park.store(static_cast<std::uint32_t>(i) % 3);
            }
        }
    }
    return round;
}

[[noreturn]] void leave_as(WorkerPhase phase) {
    const BoardView board = board_here();
    for (std::uint32_t worker = 0; worker < board.workers(); ++worker) {
        board.control(worker).phase.store(phase);
    }
    ::_exit(0);
}

}  // namespace

TEST_CASE(
    "ProcessPoolExecutor: a task that was lost on the board breaks the pool, also "
    "while "
    "others go on",
    "[faults][process_pool][slow]"
) {
    const mp::Context context = each_pool_start_method();
    const auto chosen = GENERATE(
        Chosen::far_head,
        Chosen::old_head,
        Chosen::far_tail,
        Chosen::old_tail,
        Chosen::stop,
        Chosen::measures,
        Chosen::unknown_sleepers,
        Chosen::lost_word,
        Chosen::lost_ready,
        Chosen::of_no_worker,
        Chosen::of_sleeper,
        Chosen::of_another_position,
        Chosen::more_results
    );
    CAPTURE(static_cast<int>(chosen));
    ProcessPoolExecutor pool({.max_workers = 3, .mp_context = context});
    auto lost = pool.submit(stay);
    while (!lost.running()) {
        pool.submit(add, 1, 2).result(soon);
    }
    auto damaged = pool.submit(damage, chosen);
    // A worker may make these good before they are noticed.
    const bool may_heal = chosen == Chosen::old_head || chosen == Chosen::old_tail;
    const mp::Deadline deadline(soon);
    bool broken = false;
    // The others keep the pool busy; none has a wrong result.
    for (int i = 0; !broken && !deadline.expired() && (i < 500 || !may_heal); ++i) {
        try {
            const int sum = pool.submit(add, i, 4).result(soon);
            CHECK(sum == i + 4);
        } catch (const BrokenProcessPool&) {
            broken = true;
        }
    }
    CHECK((broken || may_heal));
    if (!broken) {
        pool.kill_workers();
        CHECK_THROWS_AS(lost.result(soon), BrokenProcessPool);
        return;
    }
    CHECK_THROWS_AS(lost.result(soon), BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(add, 1, 2), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutor: what is said of who sleeps may be written over",
    "[faults][process_pool]"
) {
    ProcessPoolExecutor pool({.max_workers = 3, .mp_context = each_pool_start_method()}
    );
    for (int round = 0; round < 15; ++round) {
        Load load;
        auto disturbed = pool.submit(disturb, round);
        load.submit(pool, 20);
        const Told told = load.told();
        CHECK(told.right == 45);
        CHECK(disturbed.result(soon) == round);
    }
}

TEST_CASE(
    "ProcessPoolExecutor: a worker that leaves unasked breaks the pool, whatever it "
    "says",
    "[faults][process_pool]"
) {
    const auto phase = GENERATE(
        WorkerPhase::starting,
        WorkerPhase::initializer_failed,
        WorkerPhase::retired,
        WorkerPhase::damaged,
        static_cast<WorkerPhase>(77)
    );
    ProcessPoolExecutor pool({.max_workers = 2, .mp_context = quick_pool_context()});
    auto left = pool.submit(leave_as, phase);
    CHECK_THROWS_AS(left.result(soon), BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(add, 1, 2), BrokenProcessPool);
}
