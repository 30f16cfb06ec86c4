// SPDX-License-Identifier: BSL-1.0
// A task writes over the memory that its worker shares with the pool: anywhere, at
// random, and at chosen places. The pool goes on or is broken; each future has its own
// result or an exception; the parent neither crashes nor waits for ever.
// MP_TEST_SEEDS says how many different runs each region gets.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "faults/board_scribbling.hpp"
#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/patience.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <algorithm>
#include <array>
#include <chrono>
#include <cstdint>
#include <span>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::detail::BoardView;
using futures::detail::kind_of;
using futures::detail::position_of;
using futures::detail::Slot;
using futures::detail::slot_word;
using futures::detail::SlotKind;
using futures::detail::WorkerPhase;
using futures::detail::WorkerSet;

namespace {

constexpr auto soon = test::patience(2s);

enum class Region { header, control, slots, rings, calls, results };

enum class How { words, many_words, storm, zeros, ones, noise };

/// Where that region stands in this process: in each mapping of its segment.
std::vector<std::span<std::byte>> places_of(Region region) {
    constexpr std::size_t used_of_arena = 256UL << 10U;
    const char* name = region == Region::calls     ? "mp-calls"
                       : region == Region::results ? "mp-results"
                                                   : "mp-board";
    std::vector<std::span<std::byte>> places;
    for (const std::span<std::byte> whole : test::mappings_of(name)) {
        if (region == Region::calls || region == Region::results) {
            places.push_back(whole.first(std::min(whole.size(), used_of_arena)));
            continue;
        }
        const BoardView board(whole.data());
        auto* const control = reinterpret_cast<std::byte*>(&board.control(0));
        auto* const slots = reinterpret_cast<std::byte*>(board.slots());
        auto* const rings = reinterpret_cast<std::byte*>(board.ring(0));
        places.emplace_back(
            region == Region::header    ? whole.data()
            : region == Region::control ? control
            : region == Region::slots   ? slots
                                        : rings,
            region == Region::header    ? control
            : region == Region::control ? slots
            : region == Region::slots   ? rings
                                        : whole.data() + whole.size()
        );
        break;  // all are the same segment
    }
    return places;
}

/// In a worker.
int scribble(Region region, How how, unsigned seed) {
    for (const std::span<std::byte> place : places_of(region)) {
        test::Scribbler scribbler(place, seed);
        switch (how) {
        case How::words:
            scribbler.words(60);
            break;
        case How::many_words:
            scribbler.words(5000);
            break;
        case How::storm:
            for (int i = 0; i < 300; ++i) {
                scribbler.words(20);
                ::usleep(20);
            }
            break;
        case How::zeros:
            scribbler.fill(0);
            break;
        case How::ones:
            scribbler.fill(0xff);
            break;
        case How::noise:
            scribbler.noise();
            break;
        }
    }
    return 1;
}

int add(int a, int b) {
    return a + b;
}

/// Its call stands in a slot; its result, too.
std::string lengthened(const std::string& text) {
    return text + std::string(100, '+');
}

/// Both stand in an arena, which says nothing of what is in it.
std::string echo(const std::string& text) {
    return text;
}

[[noreturn]] void stay() {
    for (;;) {
        ::pause();
    }
}

/// What futures told.
struct Told {
    int right = 0;
    int broken = 0;
    int other = 0;
    int wrong = 0;
};

template <class T>
void settle(Future<T>& future, const T& expected, Told& told) {
    try {
        ++(future.result(soon) == expected ? told.right : told.wrong);
    } catch (const BrokenProcessPool&) {
        ++told.broken;
    } catch (const futures::TimeoutError&) {
        FAIL("a future is never done");
    } catch (const std::exception&) {
        ++told.other;
    }
}

/// Tasks of each size, and what became of them.
class Load {
public:
    /// As many as a pool that may be broken takes.
    void submit(ProcessPoolExecutor& pool, int count) {
        try {
            for (int i = 0; i < count; ++i) {
                const std::string text = std::to_string(i);
                sums_.emplace_back(pool.submit(add, i, 1), i + 1);
                texts_.emplace_back(pool.submit(lengthened, text), lengthened(text));
                if (i % 4 == 0) {
                    const std::string longer(3000, 'x');
                    echoes_.emplace_back(pool.submit(echo, longer), longer);
                }
            }
        } catch (const BrokenProcessPool&) {
            ++told_.broken;
        }
    }

    Told told() {
        Told of_echoes;
        settle_all(sums_, told_);
        settle_all(texts_, told_);
        settle_all(echoes_, of_echoes);
        told_.right += of_echoes.right;
        told_.broken += of_echoes.broken;
        told_.other += of_echoes.other + of_echoes.wrong;  // long ones have no sum
        return told_;
    }

private:
    template <class T>
    using Expected = std::vector<std::pair<Future<T>, T>>;

    template <class T>
    static void settle_all(Expected<T>& futures, Told& told) {
        for (auto& [future, expected] : futures) {
            settle(future, expected, told);
        }
    }

    Expected<int> sums_;
    Expected<std::string> texts_;
    Expected<std::string> echoes_;
    Told told_;
};

void scribble_once(
    const mp::Context& context, Region region, How how, bool under_load, unsigned seed
) {
    CAPTURE(static_cast<int>(region), static_cast<int>(how), under_load, seed);
    Told told;
    Told after;
    {
        constexpr std::array policies{
            futures::OnWorkerLoss::break_pool,
            futures::OnWorkerLoss::isolate,
            futures::OnWorkerLoss::retry};
        ProcessPoolExecutor pool(
            {.max_workers = 3,
             .mp_context = context,
             .on_worker_loss = policies[seed % policies.size()]}
        );
        Load load;
        Load later;
        Future<int> scribbled;
        REQUIRE(pool.submit(add, 1, 2).result(soon) == 3);
        if (under_load) {
            load.submit(pool, 100);
        }
        try {
            scribbled = pool.submit(scribble, region, how, seed);
            if (under_load) {
                later.submit(pool, 100);
            } else {
                settle(scribbled, 1, told);
            }
        } catch (const BrokenProcessPool&) {
            ++told.broken;
        }
        later.submit(pool, 20);
        told = load.told();
        after = later.told();
    }
    CHECK(told.wrong == 0);
    CHECK(after.wrong == 0);
    CHECK(told.right + told.broken + told.other + after.right + after.broken > 0);
}

void scribble_all(const mp::Context& context, unsigned seeds) {
    for (unsigned seed = 1; seed <= seeds; ++seed) {
        for (const auto region :
             {Region::header,
              Region::control,
              Region::slots,
              Region::rings,
              Region::calls,
              Region::results}) {
            for (const auto how :
                 {How::words,
                  How::many_words,
                  How::storm,
                  How::zeros,
                  How::ones,
                  How::noise}) {
                for (const bool under_load : {false, true}) {
                    scribble_once(context, region, how, under_load, seed);
                }
            }
        }
    }
}

// ---- chosen places

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

// Under the sanitizers each pool takes its time, and the seeds show nothing that they
// do not show without.
TEST_CASE(
    "ProcessPoolExecutor: random writes over what workers share cost no more than the "
    "pool",
    "[faults][process_pool][slow]"
) {
    const mp::Context context = each_pool_start_method();
    const bool forks = context.get_start_method() == mp::StartMethod::fork;
    const bool slow = test::under_asan || test::under_tsan;
    scribble_all(context, forks && !slow ? test::scribble_seeds(3) : 1);
}

TEST_CASE(
    "ProcessPoolExecutor: 300 seeds of random writes over what workers share",
    "[faults][process_pool][.stress]"
) {
    scribble_all(quick_pool_context(), test::scribble_seeds(300));
}

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
