// SPDX-License-Identifier: BSL-1.0
// Lock: releases, timeouts, reports of deaths, and handles.
#include "mp/connection.hpp"
#include "mp/errors.hpp"
#include "mp/lock.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/signal_storm.hpp"
#include "support/soon.hpp"

#include <sys/resource.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using test::soon;

namespace {

// Acquires in a child that ends without releasing.
template <class Lock>
void die_inside(Lock lock) {
    REQUIRE(test::run_in_fork([&] { return lock.acquire() ? 0 : 1; }) == 0);
}

}  // namespace

TEST_CASE("Lock: any thread and any process may release it", "[lock]") {
    mp::Lock lock;
    lock.acquire();
    std::thread([&] { lock.release(); }).join();
    CHECK(static_cast<bool>(lock.acquire(0s)));
    CHECK(test::run_in_fork([&] {
              lock.release();
              return 0;
          }) == 0);
    CHECK(static_cast<bool>(lock.acquire(0s)));
    lock.release();
}

TEST_CASE("Lock: a forked child does not own what its parent holds", "[lock]") {
    mp::Lock lock;
    lock.acquire();
    CHECK(test::run_in_fork([&] { return lock.acquire(50ms) ? 1 : 0; }) == 0);
    // Its end did not free it either.
    CHECK_FALSE(static_cast<bool>(lock.acquire(0s)));
    lock.release();
}

TEST_CASE("Lock: a timeout ends in time, whatever signals arrive", "[lock]") {
    mp::Lock lock;
    lock.acquire();
    const test::SignalStorm storm;
    const auto begin = std::chrono::steady_clock::now();
    CHECK_FALSE(static_cast<bool>(lock.acquire(100ms)));
    const auto took = std::chrono::steady_clock::now() - begin;
    CHECK(took >= 100ms);
    CHECK(took < test::patience(1s));
    lock.release();
}

TEST_CASE("Lock: handles are one lock", "[lock]") {
    mp::Lock a;
    const mp::Lock b = a;
    CHECK(a == b);
    CHECK_FALSE(a == mp::Lock());
    a.acquire();
    CHECK(b.locked());
    mp::Lock c = std::move(a);
    CHECK(c == b);
    CHECK_THROWS_AS(a.acquire(), mp::StateError);
    c.release();
    CHECK_FALSE(b.locked());
}

TEST_CASE("Lock: travels to a child that is started, and nowhere else", "[lock]") {
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(mp::dumps(mp::Lock()), mp::StateError);
    CHECK_THROWS_AS(a.send(mp::Lock()), mp::StateError);
}

TEST_CASE("Lock: a death is told until somebody asks", "[lock]") {
    mp::Lock lock;
    die_inside(lock);
    CHECK_FALSE(lock.locked());
    CHECK(static_cast<bool>(lock.acquire()));
    lock.release();
    // Nobody has asked yet.
    const mp::AcquireResult second = lock.acquire();
    CHECK(second.owner_died());
    CHECK(second.owner_died());
    lock.release();
    const mp::AcquireResult third = lock.acquire();
    CHECK_FALSE(third.owner_died());
    lock.release();
    // A second death is told again.
    die_inside(lock);
    CHECK(lock.acquire().owner_died());
    lock.release();
    CHECK_FALSE(mp::AcquireResult(false).owner_died());
}

TEST_CASE("Lock: the std forms throw until a death was asked for", "[lock]") {
    mp::Lock lock;
    die_inside(lock);
    CHECK_THROWS_AS(lock.lock(), mp::OwnerDied);
    CHECK_THROWS_AS(lock.try_lock(), mp::OwnerDied);
    CHECK_THROWS_AS(std::scoped_lock(lock), mp::OwnerDied);
    CHECK(static_cast<bool>(lock.acquire()));
    lock.release();
    // Free now, and the report still there.
    CHECK_THROWS_AS(lock.lock(), mp::OwnerDied);
    CHECK_FALSE(lock.locked());
    CHECK(lock.acquire().owner_died());
    lock.release();
    const std::scoped_lock held(lock);
    CHECK(lock.locked());
}

TEST_CASE("Lock: who releases for a dead holder does not hide its death", "[lock]") {
    mp::Lock lock;
    die_inside(lock);
    lock.release();
    CHECK(lock.acquire().owner_died());
    lock.release();
}

TEST_CASE("Lock: a waiter is woken by the release", "[lock]") {
    mp::Lock lock;
    lock.acquire();
    std::atomic<bool> got{false};
    std::thread waiter([&] {
        lock.acquire();
        got = true;
        lock.release();
    });
    lock.release();
    CHECK(soon([&] { return got.load(); }));
    waiter.join();
}

TEST_CASE("Lock: a waiter on a living holder costs next to nothing", "[lock]") {
    mp::Lock lock;
    lock.acquire();
    rusage before{};
    rusage after{};
    std::thread([&] {
        ::getrusage(RUSAGE_THREAD, &before);
        CHECK_FALSE(static_cast<bool>(lock.acquire(500ms)));
        ::getrusage(RUSAGE_THREAD, &after);
    }).join();
    const auto microseconds = [](const rusage& usage) {
        return 1'000'000 * (usage.ru_utime.tv_sec + usage.ru_stime.tv_sec) +
               usage.ru_utime.tv_usec + usage.ru_stime.tv_usec;
    };
    // 0.5 % of half a second is 2.5 ms; room for a sanitizer and a slow machine.
    CHECK(microseconds(after) - microseconds(before) < 20'000);
    lock.release();
}

TEST_CASE("Lock: protects a counter of threads and processes", "[lock]") {
    mp::Lock lock;
    const auto block = mp::detail::SharedBlock::allocate(64);
    auto& counter = block.as<volatile int>();
    const auto count_up = [&] {
        for (int i = 0; i < 2000; ++i) {
            const std::lock_guard held(lock);
            counter = counter + 1;
        }
        return 0;
    };
    const pid_t first = test::fork_child(count_up);
    const pid_t second = test::fork_child(count_up);
    std::thread one(count_up);
    count_up();
    one.join();
    CHECK(test::exit_status(first) == 0);
    CHECK(test::exit_status(second) == 0);
    CHECK(counter == 8000);
}
