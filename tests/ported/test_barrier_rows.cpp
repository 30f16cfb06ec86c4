// SPDX-License-Identifier: BSL-1.0
// Barriers, by the rows of the conformance table, under every start method.
#include "mp/mp.hpp"

#include "ported/bunch.hpp"
#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <chrono>
#include <mutex>
#include <thread>

using namespace std::chrono_literals;
using test::Bunch;
using test::expect;
using test::short_time;

namespace {

constexpr int parties = 5;

// Counters that processes share: semaphores, whose value they raise.
struct Counters {
    mp::Semaphore before{0};
    mp::Semaphore after{0};

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& before& after;
    }
};

void pass_rounds(mp::Barrier barrier, Counters counters, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        // Everybody has come to the barrier before anybody passes it.
        counters.before.release();
        barrier.wait();
        expect(counters.before.get_value() >= (round + 1) * parties);
        counters.after.release();
        barrier.wait();
        expect(counters.after.get_value() == (round + 1) * parties);
    }
    expect(!barrier.broken());
}

void count_zeros(mp::Barrier barrier, mp::Semaphore zeros) {
    const int number = barrier.wait();
    expect(number >= 0 && number < parties);
    if (number == 0) {
        zeros.release();
    }
}

// What the action raises, in the process that runs it.
mp::Semaphore* action_ran = nullptr;

void run_action() {
    action_ran->release();
}

void check_action(mp::Barrier barrier, mp::Semaphore ran) {
    action_ran = &ran;
    barrier.wait();
    expect(ran.get_value() == 1);
}

void abort_or_wait(mp::Barrier barrier, mp::Semaphore broke, mp::Semaphore turn) {
    try {
        // One of them does not wait but aborts.
        if (turn.acquire(0s)) {
            while (barrier.n_waiting() != parties - 1) {
                std::this_thread::yield();
            }
            barrier.abort();
            throw mp::BrokenBarrierError("by hand");
        }
        barrier.wait();
    } catch (const mp::BrokenBarrierError&) {
        broke.release();
    }
    expect(barrier.broken());
}

void reset_or_wait(
    mp::Barrier barrier, mp::Semaphore broke, mp::Semaphore passed, mp::Semaphore turn
) {
    if (turn.acquire(0s)) {
        while (barrier.n_waiting() != parties - 1) {
            std::this_thread::yield();
        }
        barrier.reset();
    } else {
        try {
            barrier.wait();
        } catch (const mp::BrokenBarrierError&) {
            broke.release();
        }
    }
    barrier.wait();
    passed.release();
}

void abort_reset_and_wait(
    mp::Barrier barrier, mp::Barrier other, mp::Semaphore broke, mp::Semaphore turn
) {
    const bool mine = turn.acquire(0s);
    try {
        if (mine) {
            while (barrier.n_waiting() != parties - 1) {
                std::this_thread::yield();
            }
            barrier.abort();
        }
        barrier.wait();
    } catch (const mp::BrokenBarrierError&) {
        broke.release();
    }
    // A second barrier, so that nobody meets the first one half-reset.
    if (other.wait() == 0) {
        barrier.reset();
    }
    other.wait();
    barrier.wait();
}

void come_late(
    mp::Barrier barrier, mp::Semaphore broke, mp::Semaphore turn, bool own_timeout
) {
    barrier.wait(30s);
    if (turn.acquire(0s)) {
        while (!barrier.broken()) {
            std::this_thread::yield();
        }
    }
    try {
        if (own_timeout) {
            barrier.wait(short_time);
        } else {
            barrier.wait();
        }
    } catch (const mp::BrokenBarrierError&) {
        broke.release();
    }
}

void send_rounds(mp::Barrier barrier, mp::Connection out, mp::Lock lock, int rounds) {
    for (int round = 0; round < rounds; ++round) {
        barrier.wait();
        const std::lock_guard held(lock);
        out.send(round);
    }
}

}  // namespace

TEST_CASE("_TestBarrier.test_barrier", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const Counters counters;
    Bunch all(context, parties, 0, pass_rounds, barrier, counters, 1);
    CHECK(all.join());
    CHECK(barrier.n_waiting() == 0);
    CHECK_FALSE(barrier.broken());
}

TEST_CASE("_TestBarrier.test_barrier_10", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const Counters counters;
    Bunch all(context, parties - 2, 2, pass_rounds, barrier, counters, 10);
    CHECK(all.join());
    CHECK(counters.after.get_value() == 10 * parties);
    CHECK(barrier.n_waiting() == 0);
}

TEST_CASE("_TestBarrier.test_wait_return", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Semaphore zeros(0);
    Bunch all(context, parties, 0, count_zeros, context.Barrier(parties), zeros);
    CHECK(all.join());
    CHECK(zeros.get_value() == 1);
}

TEST_CASE("_TestBarrier.test_action", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Semaphore ran(0);
    const mp::Barrier barrier =
        context.Barrier({.parties = parties, .action = mp::call(run_action)});
    Bunch all(context, parties, 0, check_action, barrier, ran);
    CHECK(all.join());
    CHECK(ran.get_value() == 1);
}

TEST_CASE("_TestBarrier.test_abort", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const mp::Semaphore broke(0);
    Bunch all(context, parties, 0, abort_or_wait, barrier, broke, mp::Semaphore(1));
    CHECK(all.join());
    CHECK(broke.get_value() == parties);
    CHECK(barrier.broken());
}

TEST_CASE("_TestBarrier.test_reset", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const mp::Semaphore broke(0);
    const mp::Semaphore passed(0);
    Bunch all(
        context, parties, 0, reset_or_wait, barrier, broke, passed, mp::Semaphore(1)
    );
    CHECK(all.join());
    CHECK(broke.get_value() == parties - 1);
    CHECK(passed.get_value() == parties);
}

TEST_CASE("_TestBarrier.test_abort_and_reset", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const mp::Barrier other = context.Barrier(parties);
    const mp::Semaphore broke(0);
    Bunch all(
        context,
        parties,
        0,
        abort_reset_and_wait,
        barrier,
        other,
        broke,
        mp::Semaphore(1)
    );
    CHECK(all.join());
    CHECK(broke.get_value() == parties);
    CHECK_FALSE(barrier.broken());
}

TEST_CASE("_TestBarrier.test_timeout", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier = context.Barrier(parties);
    const mp::Semaphore broke(0);
    Bunch all(context, parties, 0, come_late, barrier, broke, mp::Semaphore(1), true);
    CHECK(all.join());
    CHECK(broke.get_value() == parties);
}

TEST_CASE("_TestBarrier.test_default_timeout", "[ported][barrier]") {
    const auto context = each_start_method();
    const mp::Barrier barrier =
        context.Barrier({.parties = parties, .timeout = short_time});
    const mp::Semaphore broke(0);
    Bunch all(context, parties, 0, come_late, barrier, broke, mp::Semaphore(1), false);
    CHECK(all.join());
    CHECK(broke.get_value() == parties);
}

TEST_CASE("_TestBarrier.test_single_thread", "[ported][barrier]") {
    mp::Barrier barrier = each_start_method().Barrier(1);
    CHECK(barrier.wait() == 0);
    CHECK(barrier.wait() == 0);
}

TEST_CASE("_TestBarrier.test_thousand", "[ported][barrier]") {
    const auto context = each_start_method();
    constexpr int rounds = 1000;
    auto [in, out] = mp::Pipe({.duplex = false});
    Bunch all(
        context,
        parties,
        0,
        send_rounds,
        context.Barrier(parties),
        out,
        context.Lock(),
        rounds
    );
    bool in_order = true;
    for (int i = 0; i < rounds * parties && in_order; ++i) {
        in_order = in.poll(30s) && in.recv<int>() == i / parties;
    }
    CHECK(in_order);
    CHECK(all.join());
}
