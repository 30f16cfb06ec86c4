// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of Lock and RLock.
#include "mp/context.hpp"
#include "mp/detail/shared_block.hpp"
#include "mp/event.hpp"
#include "mp/lock.hpp"
#include "mp/rlock.hpp"

#include "faults/kill_runs.hpp"
#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/proc.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <mutex>
#include <random>
#include <string>

using namespace std::chrono_literals;
using mp::detail::SharedBlock;
using test::at_each_place;
using test::leave;
using test::linger;
using test::Place;
using test::Run;
using test::Shared;
using test::stuck;
using test::too_long;
using test::wrong;

namespace {

template <class Lock>
void use_lock(Lock lock, SharedBlock block, std::string point, int passes) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        const mp::AcquireResult got = lock.acquire(too_long);
        if (!got) {
            leave(stuck);
        }
        const bool died = got.owner_died();
        // Two at once, or a half-done change that nobody was told of.
        if ((shared.inside.exchange(1) != 0 || shared.a != shared.b) && !died) {
            leave(wrong);
        }
        shared.a = shared.b + 1;
        linger(random);
        shared.b = shared.a.load();
        ++shared.rounds;
        shared.inside = 0;
        lock.release();
    }
}

constexpr std::array lock_places{
    Place{"lock: free", ""},
    Place{"lock: taken", ""},
    Place{"lock: orphaned", "lock: before the release"},
    Place{"lock: taken from the dead", "lock: before the release"},
    Place{"lock: before the report", "lock: before the release"},
    Place{"lock: reported", "lock: before the release"},
    Place{"lock: before the mark", ""},
    Place{"lock: before the sleep", ""},
    Place{"lock: after the sleep", ""},
    Place{"lock: before the release", ""},
    Place{"lock: released", ""},
    Place{"lock: woken", ""},
};

template <class Lock>
void hold_until(Lock lock, mp::Event held, mp::Event end) {
    lock.acquire();
    held.set();
    end.wait();
    lock.release();
}

template <class Lock>
void stop_and_lock(Lock lock) {
    test::arm({.name = "lock: before the look", .passes = 1, .sent = SIGSTOP});
    const std::scoped_lock held(lock);
}

template <class Lock>
void stop_and_acquire(Lock lock) {
    test::arm({.name = "lock: before the look", .passes = 1, .sent = SIGSTOP});
    if (lock.acquire().owner_died()) {
        leave(wrong);
    }
    lock.release();
}

bool is_stopped(pid_t process) {
    test::ProcStat stat;
    return test::read_stat(process, stat) && stat.state == 'T';
}

// A waiter has seen who the owner is, and looks whether it lives only when that has
// released the lock and has ended.
template <class Lock, class Wait>
void release_under_the_eyes(const mp::Context& context, Wait wait) {
    Lock lock;
    mp::Event held;
    mp::Event end;
    mp::Process owner = context.Process(hold_until<Lock>, lock, held, end);
    owner.start();
    REQUIRE(held.wait(too_long));
    mp::Process waiter = context.Process(wait, lock);
    waiter.start();
    const pid_t pid = waiter.pid();
    REQUIRE(test::soon([&] { return is_stopped(pid); }));
    end.set();
    CHECK(owner.join(too_long));
    CHECK(owner.exitcode() == 0);
    ::kill(pid, SIGCONT);
    CHECK(waiter.join(too_long));
    CHECK(waiter.exitcode() == 0);
    CHECK_FALSE(lock.locked());
}

}  // namespace

TEST_CASE(
    "O1: Lock: an owner that released it and has ended left nothing half-done",
    "[faults][lock]"
) {
    const auto context = each_start_method();
    release_under_the_eyes<mp::Lock>(context, stop_and_lock<mp::Lock>);
    release_under_the_eyes<mp::Lock>(context, stop_and_acquire<mp::Lock>);
    release_under_the_eyes<mp::RLock>(context, stop_and_lock<mp::RLock>);
    release_under_the_eyes<mp::RLock>(context, stop_and_acquire<mp::RLock>);
}

TEST_CASE(
    "O1 O2: Lock: a process may be killed anywhere", "[faults][lock][slow][no-tsan]"
) {
    at_each_place(lock_places, [](Run& run, const char* point, const char* first) {
        mp::Lock lock;
        run.kill_at(point, first, use_lock<mp::Lock>, lock);
        CHECK(run.shared().rounds > 0);
        CHECK(static_cast<bool>(lock.acquire(too_long)));
        lock.release();
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "O1 O2: RLock: a process may be killed anywhere", "[faults][rlock][slow][no-tsan]"
) {
    at_each_place(lock_places, [](Run& run, const char* point, const char* first) {
        mp::RLock lock;
        run.kill_at(point, first, use_lock<mp::RLock>, lock);
        CHECK(static_cast<bool>(lock.acquire(too_long)));
        lock.release();
        CHECK_FALSE(lock.locked());
    });
}
