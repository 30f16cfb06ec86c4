// SPDX-License-Identifier: BSL-1.0
// A task writes over chosen places of the memory that its worker shares with the pool.
// A task that is lost by it breaks the pool, also while others go on; what only says
// who sleeps is made good.
#include "futures/process_pool.hpp"
#include "mp/timeout.hpp"

#include "faults/board_scribbling.hpp"
#include "faults/scribble_load.hpp"
#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <sched.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <stdexcept>
#include <utility>

using futures::BrokenProcessPool;
using futures::ProcessPoolExecutor;
using futures::detail::BoardView;
using futures::detail::kind_of;
using futures::detail::position_of;
using futures::detail::Slot;
using futures::detail::slot_word;
using futures::detail::SlotKind;
using futures::detail::worker_of;
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
    of_another_worker,
    of_another_position,
    more_results,
};

/// Others, who know what is right, store that now and then.
[[noreturn]] void keep_storing(std::atomic<std::uint64_t>& word, std::uint64_t value) {
    for (;;) {
        word.store(value);
    }
}

/// In a worker, while stay() runs in another.
int damage(Chosen chosen) {
    const BoardView board = board_here();
    auto& header = board.header();
    Slot& slot = slot_of_stay(board);
    const std::uint64_t position = position_of(slot.word.load());
    const auto another = (worker_of(slot.word.load()) + 1) % board.places_used();
    switch (chosen) {
    case Chosen::far_head:
        keep_storing(header.head, std::uint64_t{1} << 62U);
    case Chosen::old_head:
        keep_storing(header.head, 0);
    case Chosen::far_tail:
        keep_storing(header.tail, std::uint64_t{1} << 62U);
    case Chosen::old_tail:
        keep_storing(header.tail, 0);
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
    case Chosen::of_another_worker:
        slot.word.store(slot_word(position, SlotKind::running, another));
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
            header.searching.word(0).store(BoardView::set_mask(0, board.places_used()));
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

/// The same slot, while this is the only task that runs.
[[noreturn]] void stay_as_claimed() {
    Slot& slot = slot_of_stay(board_here());
    const auto word = slot.word.load();
    slot.word.store(slot_word(position_of(word), SlotKind::claimed, worker_of(word)));
    stay();
}

/// Waits for the next call, and changes a byte of it.
void spoil_the_next() {
    const BoardView board = board_here();
    Slot* const mine = &slot_of_stay(board);
    const std::uint64_t next = position_of(mine->word.load()) + 1;
    Slot& slot = board.slots()[next % board.slot_count()];
    while (slot.word.load() != slot_word(next, SlotKind::ready)) {
        ::sched_yield();
    }
    slot.item.bytes[0] ^= std::byte{1};
}

[[noreturn]] void leave_with_a_record() {
    const BoardView board = board_here();
    for (std::uint32_t worker = 0; worker < board.workers(); ++worker) {
        auto& crash = board.control(worker).crash;
        crash.frames = 3;
        crash.address = 77;
        crash.signal = SIGSEGV;
    }
    ::_exit(3);
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
        Chosen::of_another_worker,
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
    const mp::Deadline deadline(soon);
    bool broken = false;
    // The others keep the pool busy; none has a wrong result.
    for (int i = 0; !broken && !deadline.expired(); ++i) {
        try {
            const int sum = pool.submit(add, i, 4).result(soon);
            CHECK(sum == i + 4);
        } catch (const BrokenProcessPool&) {
            broken = true;
        }
    }
    if (!broken) {  // why? Nobody else would end what stays
        CHECK_NOTHROW(damaged.result(soon));
        pool.kill_workers();
    }
    REQUIRE(broken);
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
    futures::ProcessPoolOptions options;
    options.max_workers = 2;
    options.mp_context = quick_pool_context();
    if (GENERATE(false, true)) {
        options.max_tasks_per_child = 5;  // it had fewer
        options.mp_context = mp::get_context(mp::StartMethod::forkserver);
    }
    ProcessPoolExecutor pool(std::move(options));
    auto left = pool.submit(leave_as, phase);
    CHECK_THROWS_AS(left.result(soon), BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(add, 1, 2), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutor: a task that was written over breaks the pool, and each "
    "future says so",
    "[faults][process_pool]"
) {
    ProcessPoolExecutor pool({.max_workers = 1, .mp_context = quick_pool_context()});
    auto spoils = pool.submit(spoil_the_next);
    auto spoiled = pool.submit(add, 1, 2);
    auto later = pool.submit(add, 3, 4);
    spoils.result(soon);
    for (auto* const future : {&spoiled, &later}) {
        CHECK_THROWS_WITH(
            future->result(soon), test::ContainsSubstring("wrote over its task")
        );
    }
    CHECK_THROWS_AS(pool.submit(add, 1, 2), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutor: a time limit holds for a task whose word says that it waits",
    "[faults][process_pool]"
) {
    ProcessPoolExecutor pool({.max_workers = 1, .mp_context = quick_pool_context()});
    auto late =
        pool.submit({.timeout = std::chrono::milliseconds(50)}, stay_as_claimed);
    CHECK_THROWS_AS(late.result(soon), futures::TaskTimeout);
    CHECK(pool.submit(add, 1, 2).result(soon) == 3);
}

TEST_CASE(
    "ProcessPoolExecutor: a worker that left by itself did not crash, whatever is "
    "written down",
    "[faults][process_pool]"
) {
    ProcessPoolExecutor pool(
        {.max_workers = 1,
         .mp_context = quick_pool_context(),
         .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    try {
        pool.submit(leave_with_a_record).result(soon);
        FAIL("a task that never ends has a result");
    } catch (const futures::WorkerLost& lost) {
        CHECK(lost.report().exit_code == 3);
        CHECK_FALSE(lost.report().signal);
        CHECK(lost.report().fault_address == 0);
        CHECK(lost.report().stack.empty());
    }
}
