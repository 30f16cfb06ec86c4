// SPDX-License-Identifier: BSL-1.0
// A task writes over the memory that its worker shares with the pool: anywhere, at
// random. The pool goes on or is broken; each future has its own
// result or an exception; the parent neither crashes nor waits for ever.
// MP_TEST_SEEDS says how many different runs each region gets.
#include "futures/process_pool.hpp"

#include "faults/board_scribbling.hpp"
#include "faults/scribble_load.hpp"
#include "process_pool/board_layout.hpp"
#include "support/catch.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"

#include <sched.h>

#include <algorithm>
#include <array>
#include <cstdint>
#include <span>
#include <string>
#include <vector>

using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using futures::detail::BoardView;
using test::add;
using test::Load;
using test::settle;
using test::soon;
using test::Told;

namespace {

enum class Region { header, control, slots, rings, links, calls, results };

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
        auto* const links = reinterpret_cast<std::byte*>(&board.link(0));
        auto* const some_links = reinterpret_cast<std::byte*>(&board.link(8));
        places.emplace_back(
            region == Region::header    ? whole.data()
            : region == Region::control ? control
            : region == Region::slots   ? slots
            : region == Region::rings   ? rings
                                        : links,
            region == Region::header    ? control
            : region == Region::control ? slots
            : region == Region::slots   ? rings
            : region == Region::rings   ? links
                                        : some_links
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
                ::sched_yield();
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

/// What became of all futures. Each is settled, or the test has failed.
Told scribble_once(
    const mp::Context& context, Region region, How how, bool under_load, unsigned seed
) {
    CAPTURE(static_cast<int>(region), static_cast<int>(how), under_load, seed);
    Told told;
    int submitted = 0;
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
        Future<int> scribbled;
        REQUIRE(pool.submit(add, 1, 2).result(soon) == 3);
        if (under_load) {
            load.submit(pool, 100);
        }
        scribbled = pool.submit(scribble, region, how, seed);
        if (under_load) {
            load.submit(pool, 100);
        }
        settle(scribbled, 1, told);
        // It goes on, or says that it does not.
        load.submit(pool, 20);
        told += load.told();
        submitted = load.submitted() + 1;
    }
    CHECK(told.wrong == 0);
    CHECK(told.right + told.broken + told.other == submitted);
    return told;
}

Told scribble_all(const mp::Context& context, unsigned seeds) {
    Told told;
    for (unsigned seed = 1; seed <= seeds; ++seed) {
        for (const auto region :
             {Region::header,
              Region::control,
              Region::slots,
              Region::rings,
              Region::links,
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
                    told += scribble_once(context, region, how, under_load, seed);
                }
            }
        }
    }
    return told;
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
    const Told told = scribble_all(quick_pool_context(), test::scribble_seeds(300));
    WARN(
        "futures with their results: " << told.right << ", of lost tasks and pools: "
                                       << told.broken << ", of errors: " << told.other
    );
}
