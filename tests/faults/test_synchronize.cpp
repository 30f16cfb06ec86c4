// SPDX-License-Identifier: BSL-1.0
// What happens to locks, semaphores, conditions, barriers and events when the process
// that holds them or waits for them ends. Kills at each step of the protocols:
// test_lock_kills.cpp and its neighbours.
#include "mp/mp.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/reused_pid.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using test::block_until_killed;

namespace {

void hold(mp::Lock lock, mp::Event held) {
    lock.acquire();
    held.set();
    block_until_killed();
}

void hold_thrice(mp::RLock lock, mp::Event held) {
    lock.acquire();
    lock.acquire();
    lock.acquire();
    held.set();
    block_until_killed();
}

void hold_and_return(mp::Lock lock, mp::Event held) {
    lock.acquire();
    held.set();
}

void hold_and_exec(mp::Lock lock, mp::Event held) {
    lock.acquire();
    held.set();
    ::execlp("sleep", "sleep", "60", nullptr);
}

void hold_in_a_thread_that_ends(mp::Lock lock, mp::Event held) {
    std::thread([&] { lock.acquire(); }).join();
    held.set();
    block_until_killed();
}

void hold_and_have_a_child(mp::Lock lock, mp::Event held) {
    lock.acquire();
    const pid_t child = test::fork_child([]() -> int { block_until_killed(); });
    std::ofstream(::getenv("MP_TEST_CHILD_PID")) << child << std::flush;
    held.set();
    block_until_killed();
}

template <class Target, class Lock>
mp::Process holder(const mp::Context& context, Target target, const Lock& lock) {
    const mp::Event held;
    mp::Process process = context.Process(target, lock, held);
    process.start();
    REQUIRE(held.wait(30s));
    return process;
}

/// The lock comes to this process, with the report, and goes on working.
template <class Lock>
void check_comes_back(Lock& lock) {
    const auto begin = Clock::now();
    const mp::AcquireResult got = lock.acquire(20s);
    CHECK(static_cast<bool>(got));
    CHECK(got.owner_died());
    // A recheck interval, and the last moment of a dying process's threads.
    CHECK(Clock::now() - begin < test::patience(500ms));
    lock.release();
    CHECK_FALSE(lock.acquire().owner_died());
    lock.release();
}

void end(mp::Process& process) {
    process.kill();
    CHECK(process.join(20s));
}

}  // namespace

TEST_CASE("O1: Lock: its holder is killed", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold, lock);
    process.kill();
    check_comes_back(lock);
    CHECK(process.join(20s));
}

TEST_CASE("O1: Lock: a waiter gets it when the holder is killed", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold, lock);
    bool died = false;
    std::thread waiter([&] {
        died = lock.acquire(30s).owner_died();
        lock.release();
    });
    process.kill();
    waiter.join();
    CHECK(died);
    CHECK(process.join(20s));
}

TEST_CASE("O2: Lock: owner after owner dies with it", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    for (int i = 0; i < 3; ++i) {
        mp::Process process = holder(context, hold, lock);
        end(process);
    }
    check_comes_back(lock);
}

TEST_CASE("O4: RLock: its holder dies at depth 3", "[faults][rlock]") {
    const auto context = each_start_method();
    mp::RLock lock;
    mp::Process process = holder(context, hold_thrice, lock);
    process.kill();
    check_comes_back(lock);
    CHECK_FALSE(lock.locked());
    CHECK(process.join(20s));
}

TEST_CASE("O21: Lock: a stopped holder is not dead", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold, lock);
    ::kill(process.pid(), SIGSTOP);
    const auto begin = Clock::now();
    const mp::AcquireResult got = lock.acquire(300ms);
    CHECK_FALSE(static_cast<bool>(got));
    CHECK_FALSE(got.owner_died());
    CHECK(Clock::now() - begin >= 300ms);
    CHECK(lock.locked());
    end(process);
    check_comes_back(lock);
}

TEST_CASE("O22: Lock: another process gets the dead holder's pid", "[faults][lock]") {
    mp::Lock lock;
    mp::Process process = holder(mp::get_context("fork"), hold, lock);
    const pid_t dead = process.pid();
    end(process);
    const test::ReusedPid other(dead);
    if (!other.is_permitted()) {
        WARN("skipped: this process may not choose the pid of another");
        return;
    }
    check_comes_back(lock);
}

TEST_CASE("O23: Lock: its holder ends in good order", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold_and_return, lock);
    check_comes_back(lock);
    CHECK(process.join(20s));
    CHECK(process.exitcode() == 0);
}

TEST_CASE("O24: Lock: its holder becomes another program", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold_and_exec, lock);
    check_comes_back(lock);
    CHECK(process.is_alive());
    end(process);
}

TEST_CASE("Lock: the thread that took it ends, the process lives", "[faults][lock]") {
    const auto context = each_start_method();
    mp::Lock lock;
    mp::Process process = holder(context, hold_in_a_thread_that_ends, lock);
    CHECK_FALSE(static_cast<bool>(lock.acquire(100ms)));
    process.kill();
    check_comes_back(lock);
    CHECK(process.join(20s));
}

TEST_CASE(
    "Lock: its holder dies and leaves a child with all its memory", "[faults][lock]"
) {
    const auto context = each_start_method();
    const std::string path = "/tmp/mp-holder-" + std::to_string(::getpid());
    ::setenv("MP_TEST_CHILD_PID", path.c_str(), 1);
    mp::Lock lock;
    mp::Process process = holder(context, hold_and_have_a_child, lock);
    process.kill();
    check_comes_back(lock);
    CHECK(process.join(20s));
    pid_t child = 0;
    std::ifstream(path) >> child;
    ::unlink(path.c_str());
    ::unsetenv("MP_TEST_CHILD_PID");
    REQUIRE(child > 1);
    ::kill(child, SIGKILL);
}

TEST_CASE("O25: Lock: a dead holder's own mapping is gone", "[faults][lock]") {
    // What says that it lives is in memory that is never unmapped: dropping the handle,
    // and with it the lock's memory, changes nothing.
    mp::Lock lock;
    CHECK(test::run_in_fork([&] {
              mp::Lock mine = lock;
              lock = mp::Lock();
              mine.acquire();
              mine = mp::Lock();
              return 0;
          }) == 0);
    check_comes_back(lock);
}

namespace {

void take_two(mp::Semaphore pool, mp::Event taken) {
    pool.acquire();
    pool.acquire();
    taken.set();
    block_until_killed();
}

}  // namespace

TEST_CASE("O14: Semaphore: the owner of tokens is killed", "[faults][semaphore]") {
    const auto context = each_start_method();
    for (const bool owned : {true, false}) {
        mp::Semaphore pool({.value = 2, .owned = owned});
        mp::Process process = holder(context, take_two, pool);
        process.kill();
        CHECK(pool.acquire(owned ? 20s : 100ms) == owned);
        CHECK(pool.acquire(owned ? 20s : 0s) == owned);
        CHECK(process.join(20s));
    }
}

namespace {

void wait_for_notice(mp::Condition cond, mp::Semaphore woken) {
    cond.acquire();
    if (cond.wait(60s)) {
        woken.release();
    }
    cond.release();
}

void notify_and_die(mp::Condition cond, mp::Event) {
    cond.acquire();
    cond.notify();
    ::raise(SIGKILL);
}

}  // namespace

TEST_CASE("O15: Condition: a waiter is killed", "[faults][condition]") {
    const auto context = each_start_method();
    mp::Condition cond;
    mp::Semaphore woken(0);
    std::vector<mp::Process> waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.push_back(context.Process(wait_for_notice, cond, woken));
        waiters.back().start();
        REQUIRE(test::soon([&] { return cond.waiting() == i + 1; }));
    }
    end(waiters[0]);
    for (int i = 0; i < 2; ++i) {
        cond.acquire();
        cond.notify();
        cond.release();
        CHECK(woken.acquire(20s));
    }
    for (auto& waiter : waiters) {
        CHECK(waiter.join(20s));
    }
}

TEST_CASE(
    "O16: Condition: the notifier is killed while it notifies", "[faults][condition]"
) {
    const auto context = each_start_method();
    mp::Condition cond;
    mp::Semaphore woken(0);
    std::vector<mp::Process> waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.push_back(context.Process(wait_for_notice, cond, woken));
        waiters.back().start();
    }
    REQUIRE(test::soon([&] { return cond.waiting() == 3; }));
    mp::Process notifier = context.Process(notify_and_die, cond, mp::Event());
    notifier.start();
    for (auto& waiter : waiters) {
        CHECK(waiter.join(20s));
        CHECK(waiter.exitcode() == 0);
    }
    CHECK(woken.get_value() == 3);
    CHECK(notifier.join(20s));
}

namespace {

constexpr int was_broken = 7;

void be_a_party(mp::Barrier barrier) {
    try {
        barrier.wait(60s);
    } catch (const mp::BrokenBarrierError&) {
        throw mp::SystemExit(was_broken);
    }
}

void set_and_die(mp::Event event) {
    event.set();
    ::raise(SIGKILL);
}

}  // namespace

TEST_CASE("O17: Barrier: a party is killed", "[faults][barrier]") {
    const auto context = each_start_method();
    mp::Barrier barrier(3);
    mp::Process victim = context.Process(be_a_party, barrier);
    mp::Process other = context.Process(be_a_party, barrier);
    victim.start();
    other.start();
    REQUIRE(test::soon([&] { return barrier.n_waiting() == 2; }));
    victim.kill();
    CHECK(other.join(20s));
    CHECK(other.exitcode() == was_broken);
    CHECK(victim.join(20s));
    CHECK(barrier.broken());
    barrier.reset();
    CHECK_FALSE(barrier.broken());
}

TEST_CASE("O19: Event: its setter dies at once", "[faults][event]") {
    const auto context = each_start_method();
    const mp::Event event;
    mp::Process process = context.Process(set_and_die, event);
    process.start();
    CHECK(event.wait(30s));
    CHECK(process.join(20s));
    CHECK(event.is_set());
}
