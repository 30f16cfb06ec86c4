// SPDX-License-Identifier: BSL-1.0
// Locks and semaphores, by the rows of the conformance table, under every start method.
#include "mp/mp.hpp"

#include "ported/bunch.hpp"
#include "support/catch.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>

#include <chrono>
#include <mutex>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::expect;
using test::short_time;
using test::soon;
using test::time_of;

namespace {

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

void raise_and_wait(mp::Semaphore up, mp::Event end) {
    up.release();
    expect(end.wait(30s));
}

}  // namespace

TEST_CASE("_TestLock.test_repr_lock", "[ported][lock]") {
    const auto context = each_start_method();
    mp::Lock lock = context.Lock();
    CHECK(to_string(lock) == "<Lock(owner=None)>");
    lock.acquire();
    CHECK(to_string(lock) == "<Lock(owner=MainProcess)>");
    lock.release();

    std::string own;
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
