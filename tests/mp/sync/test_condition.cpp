// SPDX-License-Identifier: BSL-1.0
// Condition: notices, and waiters that die or stop.
#include "mp/condition.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/soon.hpp"

#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <chrono>
#include <mutex>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using test::soon;

namespace {

void notify(mp::Condition& cond, int count) {
    const std::lock_guard held(cond);
    cond.notify(count);
}

pid_t waiting_child(mp::Condition& cond) {
    const int before = cond.waiting();
    const pid_t child = test::fork_child([&] {
        cond.acquire();
        return cond.wait(30s) ? 0 : 1;
    });
    REQUIRE(soon([&] { return cond.waiting() == before + 1; }));
    return child;
}

}  // namespace

TEST_CASE("Condition: many idle waiters cost as little as one", "[condition]") {
    mp::Condition cond;
    constexpr int count = 200;
    std::vector<std::thread> waiters;
    for (int i = 0; i < count; ++i) {
        waiters.emplace_back([&] {
            cond.acquire();
            cond.wait();
            cond.release();
        });
    }
    REQUIRE(soon([&] { return cond.waiting() == count; }));
    const auto sleeps = [] {
        rusage usage{};
        ::getrusage(RUSAGE_SELF, &usage);
        return usage.ru_nvcsw;
    };
    // While one waiter of another condition looks for deaths again and again.
    mp::Condition other;
    other.acquire();
    CHECK_FALSE(other.wait(1s));  // the first sleeps are shorter
    const auto before = sleeps();
    CHECK_FALSE(other.wait(2s));
    CHECK(sleeps() - before < 10 * count);
    other.release();
    notify(cond, count);
    for (std::thread& waiter : waiters) {
        waiter.join();
    }
}

TEST_CASE("Condition: the waiters that watch may be killed or leave", "[condition]") {
    mp::Condition cond;
    // More processes than there are places for watchers, with two waiters each.
    constexpr int processes = 12;
    std::vector<pid_t> children;
    for (int i = 0; i < processes; ++i) {
        children.push_back(test::fork_child([&] {
            const auto wait = [&] {
                cond.acquire();
                const bool notified = cond.wait(30s);
                cond.release();
                return notified;
            };
            std::thread second(wait);
            const bool notified = wait();
            second.join();
            return notified ? 0 : 1;
        }));
        REQUIRE(soon([&] { return cond.waiting() == 2 * (i + 1); }));
    }
    // The oldest watch: some are killed, some are notified.
    for (int i = 0; i < 4; ++i) {
        ::kill(children.at(static_cast<std::size_t>(i)), SIGKILL);
        CHECK(test::exit_status(children.at(static_cast<std::size_t>(i))) == -SIGKILL);
    }
    notify(cond, 8);
    for (int i = 4; i < 8; ++i) {
        CHECK(test::exit_status(children.at(static_cast<std::size_t>(i))) == 0);
    }
    // One dies with the lock: all that are left wake up.
    CHECK(test::run_in_fork([&] {
              cond.acquire();
              ::raise(SIGKILL);
              return 0;
          }) == -SIGKILL);
    for (int i = 8; i < processes; ++i) {
        CHECK(test::exit_status(children.at(static_cast<std::size_t>(i))) == 0);
    }
    cond.acquire();
    cond.release();
}

TEST_CASE("Condition: needs its lock", "[condition]") {
    mp::Condition cond;
    CHECK_THROWS_AS(cond.wait(0s), mp::StateError);
    CHECK_THROWS_AS(cond.notify(), mp::StateError);
    CHECK_THROWS_AS(cond.notify_all(), mp::StateError);
    cond.acquire();
    std::thread([&] { CHECK_THROWS_AS(cond.notify(), mp::StateError); }).join();
    CHECK(test::run_in_fork([&] {
              try {
                  cond.notify();
              } catch (const mp::StateError&) {
                  return 0;
              }
              return 1;
          }) == 0);
    cond.release();
    CHECK_THROWS_AS(mp::dumps(cond), mp::StateError);
}

TEST_CASE("Condition: wait() releases all levels and takes them again", "[condition]") {
    mp::RLock lock;
    mp::Condition cond(lock);
    lock.acquire();
    cond.acquire();
    lock.acquire();
    std::thread other([&] {
        lock.acquire();  // only while the other one waits
        cond.notify();
        lock.release();
    });
    CHECK(cond.wait(30s));
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=3)>");
    CHECK_FALSE(cond.wait(10ms));
    CHECK(to_string(lock) == "<RLock(owner=MainProcess, count=3)>");
    for (int i = 0; i < 3; ++i) {
        cond.release();
    }
    CHECK_FALSE(lock.locked());
    other.join();
}

TEST_CASE("Condition: works with a plain lock, and several with one", "[condition]") {
    mp::Lock lock;
    mp::Condition full(lock);
    mp::Condition empty(lock);
    CHECK_FALSE(full == empty);
    int items = 0;
    std::thread producer([&] {
        for (int i = 0; i < 200; ++i) {
            const std::lock_guard held(lock);
            full.wait_for([&] { return items < 3; });
            ++items;
            empty.notify();
        }
    });
    for (int i = 0; i < 200; ++i) {
        const std::lock_guard held(lock);
        empty.wait_for([&] { return items > 0; });
        --items;
        full.notify();
    }
    producer.join();
    CHECK(items == 0);
}

TEST_CASE("Condition: notify wakes only those who wait already", "[condition]") {
    mp::Condition cond;
    notify(cond, 5);
    cond.acquire();
    CHECK_FALSE(cond.wait(20ms));
    cond.release();
}

TEST_CASE("Condition: a dead waiter takes no notice along", "[condition]") {
    mp::Condition cond;
    const pid_t first = waiting_child(cond);
    const pid_t second = waiting_child(cond);
    ::kill(first, SIGKILL);
    test::exit_status(first);
    notify(cond, 1);
    CHECK(test::exit_status(second) == 0);
}

TEST_CASE(
    "Condition: a notice for a stopped and killed waiter goes on", "[condition]"
) {
    mp::Condition cond;
    const pid_t first = waiting_child(cond);
    ::kill(first, SIGSTOP);
    const pid_t second = waiting_child(cond);
    notify(cond, 1);  // for the first, which does not run
    CHECK(cond.waiting() == 1);
    ::kill(first, SIGKILL);
    test::exit_status(first);
    CHECK(test::exit_status(second) == 0);
}

TEST_CASE("Condition: the death of the lock's holder wakes all", "[condition]") {
    mp::Condition cond;
    std::vector<pid_t> waiters;
    for (int i = 0; i < 3; ++i) {
        waiters.push_back(waiting_child(cond));
    }
    CHECK(test::run_in_fork([&] {
              cond.acquire();
              return 0;  // before it could notify
          }) == 0);
    // Each of them ends holding the lock, which the next one takes from it.
    for (const pid_t waiter : waiters) {
        CHECK(test::exit_status(waiter) == 0);
    }
    CHECK(cond.acquire().owner_died());
    cond.release();
}

TEST_CASE(
    "Condition: wait() leaves the report of a death to acquire()", "[condition]"
) {
    mp::Condition cond;
    cond.acquire();
    int code = -1;
    std::thread dying([&] {
        code = test::run_in_fork([&] {
            cond.acquire();
            return 0;
        });
    });
    CHECK(cond.wait(30s));
    dying.join();
    CHECK(code == 0);
    cond.release();
    CHECK_THROWS_AS(cond.lock(), mp::OwnerDied);
    CHECK(cond.acquire().owner_died());
    cond.release();
}

// ThreadSanitizer needs both processors for minutes to follow a thousand threads.
TEST_CASE(
    "Condition: as many as have room may wait, one more is told", "[condition][no-tsan]"
) {
    constexpr int room = 1024;
    mp::Condition cond;
    std::vector<std::thread> waiters;
    waiters.reserve(room);
    for (int i = 0; i < room; ++i) {
        waiters.emplace_back([&] {
            cond.acquire();
            cond.wait();
            cond.release();
        });
    }
    REQUIRE(soon([&] { return cond.waiting() == room; }));
    cond.acquire();
    CHECK_THROWS_AS(cond.wait(0s), mp::ResourceLimitExceeded);
    cond.notify_all();
    cond.release();
    for (auto& waiter : waiters) {
        waiter.join();
    }
    CHECK(cond.waiting() == 0);
}
