// SPDX-License-Identifier: BSL-1.0
// Locks, semaphores, conditions, events and barriers, by the rows of the conformance
// table, under every start method.
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <functional>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using test::soon;

namespace {

constexpr auto short_time = 100ms;

// The exit code of a child that runs this.
template <class... Args>
int run_child(
    const mp::Context& context, void (*target)(Args...), const Args&... args
) {
    mp::Process p = context.Process(target, args...);
    p.start();
    REQUIRE(p.join(40s));
    return p.exitcode().value_or(-99);
}

void expect(bool so) {
    if (!so) {
        throw mp::SystemExit(1);
    }
}

template <class Wait>
Clock::duration time_of(Wait wait) {
    const auto begin = Clock::now();
    wait();
    return Clock::now() - begin;
}

// A number of processes and threads that each run the same function.
class Bunch {
public:
    template <class... Args>
    Bunch(
        const mp::Context& context,
        int processes,
        int threads,
        void (*target)(Args...),
        const Args&... args
    ) {
        for (int i = 0; i < processes; ++i) {
            processes_.push_back(context.Process(target, args...));
            processes_.back().start();
        }
        for (int i = 0; i < threads; ++i) {
            threads_.emplace_back(target, args...);
        }
    }

    bool join() {
        bool well = true;
        for (auto& process : processes_) {
            well = process.join(40s) && process.exitcode() == 0 && well;
        }
        for (auto& thread : threads_) {
            thread.join();
        }
        return well;
    }

private:
    std::vector<mp::Process> processes_;
    std::vector<std::thread> threads_;
};

// ----------------------------------------------------------------------------------

void hold_until(mp::Lock lock, mp::Event held, mp::Event end) {
    lock.acquire();
    held.set();
    end.wait();
    lock.release();
}

void hold_r_until(mp::RLock lock, mp::Event held, mp::Event end) {
    lock.acquire();
    lock.acquire();
    expect(lock.locked());
    held.set();
    end.wait();
    lock.release();
    lock.release();
}

void wait_once(mp::Condition cond, mp::Semaphore woken, bool forever) {
    cond.acquire();
    const bool notified = cond.wait(forever ? mp::Timeout(mp::forever) : short_time);
    cond.release();
    woken.release();
    expect(notified == forever);
}

void count_to_four(mp::Condition cond, mp::Semaphore state) {
    {
        const std::lock_guard held(cond);
        expect(cond.wait_for([&] { return state.get_value() == 4; }, 30s));
    }
}

void notify_for_a_while(mp::Condition cond, mp::Semaphore ready) {
    ready.release();
    for (int i = 0; i < 10; ++i) {
        const std::lock_guard held(cond);
        cond.notify();
    }
}

void notify_once(mp::Condition cond) {
    const std::lock_guard held(cond);
    cond.notify();
}

void set_event(mp::Event event) {
    event.set();
}

// ----------------------------------------------------------------------------------

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

// ----------------------------------------------------------------------------------
// Lock, RLock, Semaphore

TEST_CASE("_TestLock.test_repr_lock", "[ported][lock]") {
    const auto context = each_start_method();
    mp::Lock lock = context.Lock();
    CHECK(to_string(lock) == "<Lock(owner=None)>");
    lock.acquire();
    CHECK(to_string(lock) == "<Lock(owner=MainProcess)>");
    lock.release();

    std::string own;
    std::string others;
    std::thread([&] {
        ::pthread_setname_np(::pthread_self(), "T1");
        lock.acquire();
        own = to_string(lock);
    }).join();
    CHECK(own == "<Lock(owner=MainProcess|T1)>");
    CHECK(to_string(lock) == "<Lock(owner=SomeOtherThread)>");
    lock.release();

    const mp::Event held;
    const mp::Event end;
    mp::Process p = context.Process(hold_until, lock, held, end);
    p.start();
    REQUIRE(held.wait(30s));
    CHECK(to_string(lock) == "<Lock(owner=SomeOtherProcess)>");
    mp::Event(end).set();
    CHECK(p.join(30s));
}

TEST_CASE("_TestLock.test_lock", "[ported][lock]") {
    mp::Lock lock = each_start_method().Lock();
    CHECK(static_cast<bool>(lock.acquire()));
    CHECK(lock.locked());
    CHECK_FALSE(static_cast<bool>(lock.acquire(0s)));
    lock.release();
    CHECK_FALSE(lock.locked());
    CHECK_THROWS_AS(lock.release(), std::invalid_argument);
}

TEST_CASE("_TestLock.test_lock_locked_2processes", "[ported][lock]") {
    const auto context = each_start_method();
    const mp::Lock lock = context.Lock();
    const mp::Event held;
    mp::Event end;
    mp::Process p = context.Process(hold_until, lock, held, end);
    p.start();
    REQUIRE(held.wait(30s));
    CHECK(lock.locked());
    end.set();
    CHECK(p.join(30s));
    CHECK_FALSE(lock.locked());
}

TEST_CASE("_TestLock.test_repr_rlock", "[ported][lock]") {
    const auto context = each_start_method();
    mp::RLock lock = context.RLock();
    CHECK(to_string(lock) == "<RLock(owner=None, count=0)>");
    for (int i = 0; i < 3; ++i) {
        lock.acquire();
    }
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=3)>");
    for (int i = 0; i < 3; ++i) {
        lock.release();
    }
    std::string own;
    std::string others;
    mp::Event held;
    mp::Event end;
    std::thread thread([&] {
        ::pthread_setname_np(::pthread_self(), "T1");
        const std::lock_guard guard(lock);
        own = to_string(lock);
        held.set();
        end.wait();
    });
    held.wait();
    CHECK(own == "<RLock(owner=MainProcess|T1, count=1)>");
    CHECK(to_string(lock) == "<RLock(owner=SomeOtherThread, count=nonzero)>");
    end.set();
    thread.join();

    held.clear();
    end.clear();
    mp::Process p = context.Process(hold_r_until, lock, held, end);
    p.start();
    REQUIRE(held.wait(30s));
    CHECK(to_string(lock) == "<RLock(owner=SomeOtherProcess, count=nonzero)>");
    end.set();
    CHECK(p.join(30s));
}

TEST_CASE("_TestLock.test_rlock", "[ported][lock]") {
    mp::RLock lock = each_start_method().RLock();
    for (int i = 0; i < 3; ++i) {
        CHECK(static_cast<bool>(lock.acquire()));
    }
    for (int i = 0; i < 3; ++i) {
        CHECK(lock.locked());
        lock.release();
    }
    CHECK_FALSE(lock.locked());
    CHECK_THROWS_AS(lock.release(), mp::StateError);
}

TEST_CASE("_TestLock.test_rlock_locked_2processes", "[ported][lock]") {
    const auto context = each_start_method();
    const mp::RLock lock = context.RLock();
    const mp::Event held;
    mp::Event end;
    mp::Process p = context.Process(hold_r_until, lock, held, end);
    p.start();
    REQUIRE(held.wait(30s));
    CHECK(lock.locked());
    end.set();
    CHECK(p.join(30s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestLock.test_lock_context", "[ported][lock]") {
    mp::Lock lock = each_start_method().Lock();
    mp::Lock other;
    {
        const std::unique_lock held(lock);
        CHECK(held.owns_lock());
        CHECK(lock.locked());
        CHECK_FALSE(lock.try_lock());
    }
    CHECK_FALSE(lock.locked());
    {
        const std::scoped_lock both(lock, other);
        CHECK(other.locked());
    }
    CHECK_FALSE(other.locked());
}

TEST_CASE("_TestLock.test_rlock_context", "[ported][lock]") {
    mp::RLock lock = each_start_method().RLock();
    {
        const std::lock_guard once(lock);
        const std::lock_guard twice(lock);
        CHECK(lock.locked());
    }
    CHECK_FALSE(lock.locked());
}

TEST_CASE("_TestSemaphore.test_semaphore", "[ported][lock]") {
    mp::Semaphore sem = each_start_method().Semaphore(2);
    CHECK(sem.get_value() == 2);
    CHECK(sem.acquire());
    CHECK(sem.get_value() == 1);
    CHECK(sem.acquire());
    CHECK(sem.get_value() == 0);
    CHECK_FALSE(sem.acquire(0s));
    for (int value = 1; value <= 4; ++value) {
        sem.release();
        CHECK(sem.get_value() == value);
    }
}

TEST_CASE("_TestSemaphore.test_bounded_semaphore", "[ported][lock]") {
    mp::BoundedSemaphore sem = each_start_method().BoundedSemaphore(2);
    CHECK(sem.acquire());
    CHECK(sem.acquire());
    CHECK(sem.get_value() == 0);
    CHECK_FALSE(sem.acquire(0s));
    sem.release();
    sem.release();
    CHECK(sem.get_value() == 2);
    CHECK_THROWS_AS(sem.release(), std::invalid_argument);
    CHECK(sem.get_value() == 2);
}

TEST_CASE("_TestSemaphore.test_timeout", "[ported][lock]") {
    mp::Semaphore sem = each_start_method().Semaphore(0);
    CHECK_FALSE(sem.acquire(0s));
    CHECK_FALSE(sem.acquire(-5s));
    CHECK(time_of([&] { CHECK_FALSE(sem.acquire(short_time)); }) >= short_time);
}

// ----------------------------------------------------------------------------------
// Condition

TEST_CASE("_TestCondition.test_notify", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    Bunch waiters(context, 1, 1, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 2; }));
    CHECK(woken.get_value() == 0);
    for (int left = 1; left >= 0; --left) {
        notify_once(cond);
        CHECK(woken.acquire(20s));
        CHECK_FALSE(woken.acquire(short_time));
        CHECK(cond.waiting() == left);
    }
    CHECK(waiters.join());
}

TEST_CASE("_TestCondition.test_notify_all", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    Bunch timing_out(context, 3, 3, wait_once, cond, woken, false);
    CHECK(timing_out.join());
    CHECK(woken.get_value() == 6);
    CHECK(cond.waiting() == 0);

    Bunch waiters(context, 3, 3, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 6; }));
    {
        const std::lock_guard held(cond);
        cond.notify_all();
    }
    CHECK(waiters.join());
    CHECK(woken.get_value() == 12);
    CHECK(cond.waiting() == 0);
}

TEST_CASE("_TestCondition.test_notify_n", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore woken(0);
    const auto notify = [&](int count) {
        const std::lock_guard held(cond);
        cond.notify(count);
    };
    Bunch waiters(context, 3, 3, wait_once, cond, woken, true);
    REQUIRE(soon([&] { return cond.waiting() == 6; }));
    notify(2);
    REQUIRE(soon([&] { return woken.get_value() == 2; }));
    CHECK(cond.waiting() == 4);
    notify(4);
    REQUIRE(soon([&] { return woken.get_value() == 6; }));
    notify(3);
    CHECK(waiters.join());
    CHECK(woken.get_value() == 6);
    CHECK(cond.waiting() == 0);
}

TEST_CASE("_TestCondition.test_timeout", "[ported][condition]") {
    mp::Condition cond = each_start_method().Condition();
    cond.acquire();
    CHECK(time_of([&] { CHECK_FALSE(cond.wait(short_time)); }) >= short_time);
    cond.release();
    CHECK_THROWS_AS(cond.release(), mp::StateError);
}

TEST_CASE("_TestCondition.test_waitfor", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore state(0);
    mp::Process p = context.Process(count_to_four, cond, state);
    p.start();
    {
        const std::lock_guard held(cond);
        CHECK(cond.wait_for([&] { return state.get_value() == 0; }));
    }
    for (int i = 0; i < 4; ++i) {
        const std::lock_guard held(cond);
        state.release();
        cond.notify();
    }
    CHECK(p.join(30s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestCondition.test_waitfor_timeout", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    mp::Semaphore ready(0);
    mp::Process p = context.Process(notify_for_a_while, cond, ready);
    p.start();
    REQUIRE(ready.acquire(30s));
    {
        const std::lock_guard held(cond);
        CHECK(time_of([&] {
                  CHECK_FALSE(cond.wait_for([] { return false; }, short_time));
              }) >= short_time);
    }
    CHECK(p.join(30s));
    CHECK(p.exitcode() == 0);
}

TEST_CASE("_TestCondition.test_wait_result", "[ported][condition]") {
    const auto context = each_start_method();
    mp::Condition cond = context.Condition();
    cond.acquire();
    CHECK_FALSE(cond.wait(0s));
    CHECK_FALSE(cond.wait(short_time));
    mp::Process p = context.Process(notify_once, cond);
    p.start();
    CHECK(cond.wait(60s));
    cond.release();
    CHECK(p.join(30s));
}

// ----------------------------------------------------------------------------------
// Event

TEST_CASE("_TestEvent.test_event", "[ported][event]") {
    const auto context = each_start_method();
    mp::Event event = context.Event();
    CHECK_FALSE(event.is_set());
    CHECK_FALSE(event.wait(0s));
    CHECK(time_of([&] { CHECK_FALSE(event.wait(short_time)); }) >= short_time);
    event.set();
    CHECK(event.is_set());
    CHECK(event.wait());
    CHECK(event.wait(short_time));
    event.clear();
    CHECK_FALSE(event.is_set());
    mp::Process p = context.Process(set_event, event);
    p.start();
    CHECK(event.wait());
    CHECK(p.join(30s));
}

TEST_CASE("_TestEvent.test_repr", "[ported][event]") {
    mp::Event event = each_start_method().Event();
    CHECK(to_string(event) == "<Event unset>");
    event.set();
    CHECK(to_string(event) == "<Event set>");
    event.clear();
    CHECK(to_string(event) == "<Event unset>");
}

// ----------------------------------------------------------------------------------
// Barrier

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

// ----------------------------------------------------------------------------------
// Handles of one object made in one context, used in children of another

namespace {

void raise_and_wait(mp::Semaphore up, mp::Event end) {
    up.release();
    expect(end.wait(30s));
}

}  // namespace

TEST_CASE("synchronize: children of all start methods share one object", "[ported]") {
    const mp::Semaphore up(0);
    mp::Event end;
    std::vector<mp::Process> children;
    for (const auto method : mp::get_all_start_methods()) {
        children.push_back(mp::get_context(method).Process(raise_and_wait, up, end));
        children.back().start();
    }
    REQUIRE(soon([&] { return up.get_value() == 3; }));
    end.set();
    for (auto& child : children) {
        CHECK(child.join(30s));
        CHECK(child.exitcode() == 0);
    }
}
