// SPDX-License-Identifier: BSL-1.0
// Arguments, callables and results that are destroyed in a worker, and what they do
// there to a call that has returned.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/value.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <sys/types.h>
#include <unistd.h>

#include <chrono>
#include <cstdint>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::inc;
using test::on;
using test::rows::commit;
using test::rows::Deed;

namespace {

/// Does what it is told when it is destroyed in a worker.
struct Ending {
    Deed deed = Deed::none;
    pid_t parent = getpid();

    Ending() = default;
    Ending(const Ending&) = default;
    Ending(Ending&&) = default;
    Ending& operator=(const Ending&) = default;
    Ending& operator=(Ending&&) = default;

    explicit Ending(Deed at_end) : deed(at_end) {}

    ~Ending() {
        if (getpid() != parent) {
            commit(deed);
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& deed;
        archive& parent;
    }
};

int take_reference(const Ending&) {
    return 7;
}

int take_value(Ending /*ending*/) {
    return 7;
}

void take_for_nothing(Ending /*ending*/) {}

Ending make_ending(Deed deed, pid_t parent) {
    Ending ending(deed);
    ending.parent = parent;
    return ending;
}

struct CallsAndEnds {
    Ending ending;

    int operator()() const { return 7; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& ending;
    }
};

/// Says so when it is destroyed in a worker, or hangs there.
struct Telling {
    mp::Value<int> ends;
    bool hangs = false;
    pid_t parent = getpid();

    Telling() = default;

    Telling(mp::Value<int> counter, bool is_to_hang)
        : ends(std::move(counter)), hangs(is_to_hang) {}

    Telling(const Telling&) = default;
    Telling(Telling&&) = default;
    Telling& operator=(const Telling&) = default;
    Telling& operator=(Telling&&) = default;

    ~Telling() {
        if (getpid() == parent) {
            return;
        }
        ends.set(ends.get() + 1);
        while (hangs) {
            pause();
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& ends;
        archive& hangs;
        archive& parent;
    }
};

int take_telling(const Telling&) {
    return 7;
}

}  // namespace

TEST_CASE(
    "loky::reusable_executor::destructor_crashes_in_worker: a call that has returned "
    "has its result, whatever its argument does then"
) {
    const auto context = each_pool_start_method();
    const Deed deed = GENERATE(Deed::crash, Deed::exit_process, Deed::exit_at_once);
    ProcessPoolOptions options = on(context, 1, OnWorkerLoss::isolate);
    options.max_losses.count = 1000;
    ProcessPoolExecutor pool(options);
    std::uint64_t lost = 0;
    const auto expect_loss = [&] {
        for (int i = 0; i < 101; ++i) {
            CHECK(pool.submit(inc, i).result(60s) == i + 1);
        }
        CHECK(pool.statistics().workers_lost == ++lost);
    };
    CHECK(pool.submit(take_reference, Ending(deed)).result(60s) == 7);
    expect_loss();
    CHECK(pool.submit(take_value, Ending(deed)).result(60s) == 7);
    expect_loss();
    pool.submit(take_for_nothing, Ending(deed)).result(60s);
    expect_loss();
    CHECK(pool.submit(CallsAndEnds{Ending(deed)}).result(60s) == 7);
    expect_loss();
    CHECK(pool.submit(make_ending, deed, getpid()).result(60s).deed == deed);
    expect_loss();
    CHECK(pool.submit({.retries = 3}, take_reference, Ending(deed)).result(60s) == 7);
    expect_loss();
    std::vector<Ending> endings;
    endings.emplace_back(Deed::none);
    endings.emplace_back(deed);
    CHECK(
        pool.map({.chunksize = 2}, take_value, endings).to_vector() == std::vector{7, 7}
    );
    expect_loss();
}

TEST_CASE(
    "An argument whose destructor crashes in a worker: its call has its result, then "
    "the pool breaks"
) {
    const auto context = each_pool_start_method();
    const Deed deed = GENERATE(Deed::crash, Deed::exit_process);
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(pool.submit(take_reference, Ending(deed)).result(60s) == 7);
    std::string text;
    for (int i = 0; i < 101 && text.empty(); ++i) {
        try {
            pool.submit(inc, 1).result(60s);
        } catch (const BrokenProcessPool& error) {
            text = error.what();
        }
    }
    CHECK_THAT(
        text,
        test::ContainsSubstring(deed == Deed::crash ? "SIGSEGV" : "exited with code 0")
    );
}

TEST_CASE("A result comes when the arguments are destroyed, and what they did is seen"
) {
    const mp::Value<int> ends(0);
    ProcessPoolOptions options = on(each_pool_start_method(), 1, OnWorkerLoss::isolate);
    options.shared = {ends};
    ProcessPoolExecutor pool(options);
    for (int i = 0; i < 100; ++i) {
        const int before = ends.get();
        CHECK(pool.submit(take_telling, Telling(ends, false)).result(60s) == 7);
        CHECK(ends.get() > before);
    }
}

TEST_CASE("The limit of a task holds for the destructors of its arguments, too") {
    const mp::Value<int> ends(0);
    ProcessPoolOptions options = on(each_pool_start_method(), 1, OnWorkerLoss::isolate);
    options.shared = {ends};
    ProcessPoolExecutor pool(options);
    pool.bootup();
    const auto hangs = pool.submit(
        {.timeout = 2s, .kill_after = 0s}, take_telling, Telling(ends, true)
    );
    CHECK(hangs.result(60s) == 7);
    const auto cancelled = pool.submit(take_telling, Telling(ends, true));
    while (ends.get() < 2) {
        std::this_thread::yield();
    }
    CHECK(cancelled.cancel(futures::running));
    CHECK_THROWS_AS(cancelled.result(60s), futures::CancelledError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}
