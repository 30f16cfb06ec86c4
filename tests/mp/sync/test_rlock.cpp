// SPDX-License-Identifier: BSL-1.0
// RLock: how deep it is held, by which thread of which process, and what its end
// leaves.
#include "mp/connection.hpp"
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/rlock.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/fork_child.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <atomic>
#include <chrono>
#include <mutex>
#include <thread>
#include <utility>

using namespace std::chrono_literals;
using test::exit_code_of;

namespace {

/// Whether a thread of its own gets the lock at once; it gives it back.
bool is_free_to_others(mp::RLock lock) {
    bool got = false;
    std::thread([&] {
        got = lock.try_lock();
        if (got) {
            lock.unlock();
        }
    }).join();
    return got;
}

// The status says whether the child got the lock without waiting.
void try_once(mp::RLock lock) {
    throw mp::SystemExit(lock.acquire(0s) ? 3 : 4);
}

void take_twice_and_die(mp::RLock lock) {
    lock.acquire();
    lock.acquire();
    ::_exit(0);
}

}  // namespace

TEST_CASE("RLock: is free after as many releases as acquires", "[rlock]") {
    mp::RLock lock;
    for (int depth = 1; depth <= 100; ++depth) {
        REQUIRE(static_cast<bool>(lock.acquire(0s)));
    }
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=100)>");
    for (int depth = 100; depth > 1; --depth) {
        lock.release();
    }
    CHECK(lock.locked());
    CHECK_FALSE(is_free_to_others(lock));
    lock.release();
    CHECK_FALSE(lock.locked());
    CHECK(is_free_to_others(lock));
}

TEST_CASE("RLock: the std forms nest", "[rlock]") {
    mp::RLock lock;
    {
        const std::scoped_lock outer(lock);
        const std::unique_lock inner(lock, std::try_to_lock);
        CHECK(inner.owns_lock());
        CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=2)>");
        CHECK_FALSE(is_free_to_others(lock));
    }
    CHECK(to_string(lock) == "<RLock(owner=None, count=0)>");
}

TEST_CASE("RLock: only a holder may release it", "[rlock]") {
    mp::RLock lock;
    CHECK_THROWS_AS(lock.release(), mp::StateError);
    CHECK_FALSE(lock.locked());
    lock.acquire();
    lock.release();
    CHECK_THROWS_AS(lock.unlock(), mp::StateError);
    CHECK(is_free_to_others(lock));
}

TEST_CASE("RLock: belongs to a thread of a process", "[rlock]") {
    mp::RLock lock;
    lock.acquire();
    lock.acquire();
    std::thread([&] {
        CHECK_FALSE(static_cast<bool>(lock.acquire(0s)));
        CHECK_THROWS_AS(lock.release(), mp::StateError);
    }).join();
    CHECK(test::run_in_fork([&] {
              try {
                  lock.release();
              } catch (const mp::StateError&) {
                  return lock.acquire(20ms) ? 1 : 0;
              }
              return 2;
          }) == 0);
    lock.release();
    CHECK(lock.locked());
    lock.release();
    CHECK_FALSE(lock.locked());
}

TEST_CASE("RLock: a timeout ends the wait for another thread", "[rlock]") {
    mp::RLock lock;
    lock.acquire();
    std::thread([&] {
        const auto begin = std::chrono::steady_clock::now();
        CHECK_FALSE(static_cast<bool>(lock.acquire(50ms)));
        CHECK(std::chrono::steady_clock::now() - begin >= 50ms);
    }).join();
    lock.release();
}

TEST_CASE("RLock: the last release wakes a waiter, no earlier one does", "[rlock]") {
    mp::RLock lock;
    lock.acquire();
    lock.acquire();
    std::atomic<bool> got{false};
    std::thread waiter([&] {
        lock.acquire();
        got = true;
        lock.release();
    });
    lock.release();
    CHECK_FALSE(got);
    lock.release();
    CHECK(test::soon([&] { return got.load(); }));
    waiter.join();
}

TEST_CASE("RLock: handles are one lock", "[rlock]") {
    mp::RLock a;
    mp::RLock b = a;
    CHECK(a == b);
    CHECK_FALSE(a == mp::RLock());
    a.acquire();
    // Held through one handle, it is held through the other.
    CHECK(static_cast<bool>(b.acquire(0s)));
    b.release();
    b.release();
    mp::RLock c = std::move(a);
    CHECK(c == b);
    CHECK_THROWS_AS(a.acquire(), mp::StateError);
}

TEST_CASE(
    "RLock: a child has the same lock, but not what its parent holds", "[rlock]"
) {
    const mp::Context ctx = each_start_method();
    mp::RLock lock;
    lock.acquire();
    lock.acquire();
    CHECK(exit_code_of(ctx.Process(try_once, lock)) == 4);
    lock.release();
    CHECK(exit_code_of(ctx.Process(try_once, lock)) == 4);
    lock.release();
    CHECK(exit_code_of(ctx.Process(try_once, lock)) == 3);
    // That child ended as the holder.
    CHECK(lock.acquire().owner_died());
    lock.release();
}

TEST_CASE("RLock: travels to a child that is started, and nowhere else", "[rlock]") {
    auto [a, b] = mp::Pipe();
    CHECK_THROWS_AS(mp::dumps(mp::RLock()), mp::StateError);
    CHECK_THROWS_AS(a.send(mp::RLock()), mp::StateError);
}

TEST_CASE("RLock: is taken whole from a dead holder", "[rlock]") {
    const mp::Context ctx = each_start_method();
    mp::RLock lock;
    REQUIRE(exit_code_of(ctx.Process(take_twice_and_die, lock)) == 0);
    CHECK_THROWS_AS(lock.lock(), mp::OwnerDied);
    CHECK_THROWS_AS(lock.try_lock(), mp::OwnerDied);
    CHECK(lock.acquire().owner_died());
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=1)>");
    lock.release();
    CHECK_FALSE(lock.locked());
    // Nothing is left of the dead holder's depth.
    const std::scoped_lock held(lock);
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=1)>");
}
