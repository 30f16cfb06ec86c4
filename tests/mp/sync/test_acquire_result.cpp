// SPDX-License-Identifier: BSL-1.0
// AcquireResult: what it says of the lock, and of a holder that died inside.
#include "mp/acquire_result.hpp"
#include "mp/context.hpp"
#include "mp/lock.hpp"
#include "mp/rlock.hpp"

#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <chrono>
#include <optional>
#include <thread>

using namespace std::chrono_literals;
using test::exit_code_of;

namespace {

template <class Lock>
void die_inside(Lock lock) {
    lock.acquire();
    ::_exit(0);
}

// The status says whether the result told of a death.
void ask(mp::Lock lock) {
    const bool died = lock.acquire().owner_died();
    lock.release();
    throw mp::SystemExit(died ? 3 : 4);
}

void acquire_without_asking(mp::Lock lock) {
    lock.acquire();
    lock.release();
}

}  // namespace

TEST_CASE("AcquireResult: true is a lock that is held, false is none", "[lock]") {
    mp::Lock lock;
    const mp::AcquireResult got = lock.acquire();
    CHECK(static_cast<bool>(got));
    const mp::AcquireResult missed = lock.acquire(0s);
    CHECK_FALSE(static_cast<bool>(missed));
    lock.release();
    // It is what acquire() said then, not what the lock is now.
    CHECK(static_cast<bool>(got));
    CHECK_FALSE(static_cast<bool>(missed));
}

TEST_CASE("AcquireResult: nobody died where nobody did", "[lock]") {
    mp::Lock lock;
    mp::RLock recursive;
    CHECK_FALSE(lock.acquire().owner_died());
    CHECK_FALSE(recursive.acquire().owner_died());
    CHECK_FALSE(recursive.acquire().owner_died());
    CHECK_FALSE(lock.acquire(0s).owner_died());
    CHECK_FALSE(mp::AcquireResult(true).owner_died());
    CHECK_FALSE(mp::AcquireResult(false).owner_died());
    lock.release();
    recursive.release();
    recursive.release();
}

TEST_CASE(
    "AcquireResult: a thread that ended without releasing is no death", "[lock]"
) {
    mp::Lock lock;
    std::thread([&] { lock.acquire(); }).join();
    // The process lives, and so does its lock.
    CHECK_FALSE(static_cast<bool>(lock.acquire(0s)));
    lock.release();
    CHECK_FALSE(lock.acquire().owner_died());
    lock.release();
}

TEST_CASE("AcquireResult: tells of a holder of any start method", "[lock]") {
    const mp::Context ctx = each_start_method();
    mp::Lock lock;
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
    const mp::AcquireResult first = lock.acquire();
    CHECK(static_cast<bool>(first));
    CHECK(first.owner_died());
    lock.release();
    CHECK_FALSE(lock.acquire().owner_died());
    lock.release();
    mp::RLock recursive;
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::RLock>, recursive)) == 0);
    CHECK(recursive.acquire().owner_died());
    recursive.release();
}

TEST_CASE("AcquireResult: a timeout does not use the report up", "[lock]") {
    const mp::Context ctx = each_start_method();
    mp::Lock lock;
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
    lock.acquire();
    std::thread([&] { CHECK_FALSE(lock.acquire(0s).owner_died()); }).join();
    lock.release();
    CHECK(lock.acquire().owner_died());
    lock.release();
}

TEST_CASE(
    "AcquireResult: asked for in one process, a death is told in none", "[lock]"
) {
    const mp::Context ctx = each_start_method();
    mp::Lock lock;
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
    // This one gets the lock and does not ask: the report stays.
    REQUIRE(exit_code_of(ctx.Process(acquire_without_asking, lock)) == 0);
    CHECK(exit_code_of(ctx.Process(ask, lock)) == 3);
    CHECK(exit_code_of(ctx.Process(ask, lock)) == 4);
    CHECK_FALSE(lock.acquire().owner_died());
    lock.release();
}

TEST_CASE("AcquireResult: copies say the same, also when the lock is gone", "[lock]") {
    const mp::Context ctx = each_start_method();
    std::optional<mp::AcquireResult> copy;
    {
        mp::Lock lock;
        REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
        const mp::AcquireResult result = lock.acquire();
        copy = result;
        CHECK(result.owner_died());
        lock.release();
    }
    CHECK(copy->owner_died());
    CHECK(static_cast<bool>(*copy));
}

TEST_CASE("AcquireResult: an old one does not answer for a later death", "[lock]") {
    const mp::Context ctx = each_start_method();
    mp::Lock lock;
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
    const mp::AcquireResult first = lock.acquire();
    lock.release();
    REQUIRE(exit_code_of(ctx.Process(die_inside<mp::Lock>, lock)) == 0);
    CHECK(first.owner_died());
    // The second death has not been asked for.
    CHECK(lock.acquire().owner_died());
    lock.release();
}
