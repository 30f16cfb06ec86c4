// SPDX-License-Identifier: BSL-1.0
// SIGKILL between any two operations of the locks' protocols, for each start method.
// Nobody else hangs, exclusion holds, tokens add up. (Cases O1, O2, O14 to O17.)
// The library's sources are linked with their failpoints. MP_TEST_SEEDS
// says how many different runs each place gets.
// ThreadSanitizer does not see what orders accesses of different processes; and a
// thread that may allocate stands beside forks where [no-asan] says so.
#include "mp/detail/shared_block.hpp"
#include "mp/errors.hpp"
#include "mp/synchronize.hpp"

#include "support/catch.hpp"
#include "support/failpoints.hpp"
#include "support/sanitizer.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <chrono>
#include <cstdlib>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::SharedBlock;

namespace {

constexpr int stuck = 3;
constexpr int wrong = 4;

/// Nobody waits as long as this unless he is forgotten.
constexpr auto too_long = 20s;

int seeds() {
    // A fork takes a sanitizer some milliseconds.
    return test::seeds(test::under_asan || test::under_tsan ? 1 : 3);
}

/// What the processes of one run share beside the lock.
struct Shared {
    std::atomic<bool> stop;
    std::atomic<int> rounds;
    std::atomic<int> a;
    std::atomic<int> b;
    std::atomic<int> inside;
    std::atomic<int> made;
    std::atomic<int> used;
};

void linger(std::mt19937& random) {
    if (random() % 4 == 0) {
        std::this_thread::yield();
    }
    for (auto i = random() % 2000; i > 0; --i) {
        asm volatile("");
    }
}

/// Some processes of which some are killed and replaced. A run ends after `deaths`, or
/// when it takes too long for the rarer places.
class Run {
public:
    Run(const mp::Context& context, int seed)
        : context_(context), random_(static_cast<unsigned>(seed)) {}

    /// How often a victim passes the place before it is killed there.
    void set_max_passes(unsigned most) { max_passes_ = most; }

    Shared& shared() const { return block_.as<Shared>(); }

    const SharedBlock& block() const { return block_; }

    int deaths() const { return deaths_; }

    unsigned random(unsigned below) { return static_cast<unsigned>(random_() % below); }

    template <class Work, class Object>
    mp::Process
    start(Work work, const Object& object, std::string_view point, int passes) {
        mp::Process process =
            context_.Process(work, object, block_, std::string(point), passes);
        process.start();
        return process;
    }

    /// Victims are killed at `point`; every second one at `first`, if that must happen
    /// before others can get there.
    template <class Work, class Object>
    void kill_at(
        std::string_view point, std::string_view first, Work work, const Object& object
    ) {
        const bool forks = context_.get_start_method() == mp::StartMethod::fork;
        const int wanted = forks ? 8 : 3;
        std::array<mp::Process, 2> bystanders{
            start(work, object, "", 0), start(work, object, "", 0)};
        const auto victim = [&](std::size_t i) {
            const bool prepares = !first.empty() && i == 0;
            return start(
                work,
                object,
                prepares ? first : point,
                1 + static_cast<int>(random(first.empty() ? max_passes_ : 3))
            );
        };
        std::vector<mp::Process> victims;
        for (std::size_t i = 0; i < 2; ++i) {
            victims.push_back(victim(i));
        }
        const mp::Deadline end(seeds() > 3 ? 2s : 1s);
        while (deaths_ < wanted && !end.expired()) {
            for (std::size_t i = 0; i < victims.size(); ++i) {
                if (victims[i].join(2ms)) {
                    bury(victims[i]);
                    victims[i] = victim(i);
                }
            }
        }
        shared().stop = true;
        for (auto& process : victims) {
            CHECK(process.join(too_long + 10s));
            bury(process);
        }
        for (auto& process : bystanders) {
            CHECK(process.join(too_long + 10s));
            CHECK(process.exitcode() == 0);
        }
    }

private:
    void bury(const mp::Process& process) {
        const int code = process.exitcode().value_or(stuck);
        CHECK((code == 0 || code == -SIGKILL));
        deaths_ += code == -SIGKILL ? 1 : 0;
    }

    mp::Context context_;
    SharedBlock block_ = SharedBlock::allocate(sizeof(Shared));
    std::mt19937 random_;
    unsigned max_passes_ = 20;
    int deaths_ = 0;
};

void leave(int code) {
    throw mp::SystemExit(code);
}

// ----------------------------------------------------------------------------------
// Lock

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

struct Place {
    const char* point;
    const char* first;
};

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

// ----------------------------------------------------------------------------------
// Semaphores

constexpr int tokens = 2;

void use_pool(
    mp::BoundedSemaphore pool, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (!pool.acquire(too_long)) {
            leave(stuck);
        }
        ++shared.rounds;
        linger(random);
        pool.release();
    }
}

constexpr std::array ledger_places{
    Place{"ledger: before the booking", ""},
    Place{"ledger: booked", ""},
    Place{"ledger: before the change", ""},
    Place{"ledger: changed", ""},
    Place{"ledger: change booked", ""},
    Place{"ledger: before the giving back", "ledger: change booked"},
    Place{"ledger: given back", "ledger: change booked"},
    Place{"ledger: predecessor found", "ledger: change booked"},
    Place{"ledger: before the sleep", ""},
    Place{"ledger: after the sleep", ""},
    Place{"ledger: given", ""},
    Place{"ledger: rung", ""},
};

void signal_and_wait(
    mp::Semaphore signal, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (random() % 2 == 0) {
            ++shared.made;
            signal.release();
        } else if (signal.acquire(1ms)) {
            ++shared.used;
        }
        linger(random);
    }
}

constexpr std::array semaphore_places{
    Place{"semaphore: before the taking", ""},
    Place{"semaphore: taken", ""},
    Place{"semaphore: before the sleep", ""},
    Place{"semaphore: after the sleep", ""},
    Place{"semaphore: before the giving", ""},
    Place{"semaphore: given", ""},
};

// ----------------------------------------------------------------------------------
// Condition: items for whoever comes. Both kinds of users may be killed.

void make_or_take(
    mp::Condition cond, SharedBlock block, std::string point, int passes
) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    std::mt19937 random(static_cast<unsigned>(::getpid()));
    while (!shared.stop) {
        if (!cond.acquire(too_long)) {
            leave(stuck);
        }
        if (random() % 2 == 0) {
            ++shared.a;
            cond.notify();
        } else if (cond.wait_for(
                       [&] { return shared.a > 0 || shared.stop; }, too_long
                   )) {
            if (!shared.stop) {
                --shared.a;
            }
            ++shared.rounds;
        } else if (!shared.stop) {
            leave(stuck);
        }
        cond.release();
        linger(random);
    }
}

constexpr std::array condition_places{
    Place{"condition: before the place", ""},
    Place{"condition: place taken", ""},
    Place{"condition: lock released", ""},
    Place{"condition: notice seen", ""},
    Place{"condition: after the sleep", ""},
    Place{"condition: notice taken over", "condition: notice seen"},
    Place{"condition: orphan freed", "condition: notice seen"},
    Place{"condition: before the notice", ""},
    Place{"condition: notice given", ""},
    Place{"condition: waiter woken", ""},
    Place{"condition: before the lock", ""},
    Place{"condition: lock taken again", ""},
    Place{"condition: place left", ""},
};

// ----------------------------------------------------------------------------------
// Barrier

void do_nothing() {}

void go_round(mp::Barrier barrier, SharedBlock block, std::string point, int passes) {
    test::arm({point, passes});
    auto& shared = block.as<Shared>();
    const bool aborts = point == "barrier: marked broken";
    try {
        for (int round = 0; !shared.stop; ++round) {
            if (aborts && round == 3) {
                barrier.abort();
            }
            barrier.wait(too_long);
            ++shared.rounds;
        }
    } catch (const mp::BrokenBarrierError&) {
        // Also after `too_long`: that is for the test to see.
    }
}

constexpr std::array barrier_places{
    "barrier: before the arrival",
    "barrier: arriving",
    "barrier: before the place",
    "barrier: place taken",
    "barrier: after the action",
    "barrier: before the end",
    "barrier: round ended",
    "barrier: party told",
    "barrier: woken",
    "barrier: marked broken",
    "barrier: before the leaving",
    "barrier: before the sleep",
    "barrier: after the sleep",
};

template <std::size_t count, class Body>
void at_each_place(const std::array<Place, count>& places, Body body) {
    const auto context = each_start_method();
    for (const auto& [point, first] : places) {
        int deaths = 0;
        for (int seed = 0; seed < seeds(); ++seed) {
            INFO(
                point << ", seed " << seed << ", "
                      << to_string(context.get_start_method())
            );
            Run run(context, seed);
            body(run, point, first);
            deaths += run.deaths();
        }
        if (deaths == 0) {
            WARN("nobody came to: " << point);
        }
    }
}

}  // namespace

TEST_CASE("Lock: a process may be killed anywhere", "[faults][lock][slow][no-tsan]") {
    at_each_place(lock_places, [](Run& run, const char* point, const char* first) {
        mp::Lock lock;
        run.kill_at(point, first, use_lock<mp::Lock>, lock);
        CHECK(run.shared().rounds > 0);
        CHECK(static_cast<bool>(lock.acquire(too_long)));
        lock.release();
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE("RLock: a process may be killed anywhere", "[faults][rlock][slow][no-tsan]") {
    at_each_place(lock_places, [](Run& run, const char* point, const char* first) {
        mp::RLock lock;
        run.kill_at(point, first, use_lock<mp::RLock>, lock);
        CHECK(static_cast<bool>(lock.acquire(too_long)));
        lock.release();
        CHECK_FALSE(lock.locked());
    });
}

TEST_CASE(
    "BoundedSemaphore: a process may be killed anywhere",
    "[faults][semaphore][slow][no-tsan]"
) {
    at_each_place(ledger_places, [](Run& run, const char* point, const char* first) {
        mp::BoundedSemaphore pool(tokens);
        run.kill_at(point, first, use_pool, pool);
        CHECK(run.shared().rounds > 0);
        // Everybody is gone: all tokens are here, and no more than all.
        for (int i = 0; i < tokens; ++i) {
            CHECK(pool.acquire(too_long));
        }
        CHECK(pool.get_value() == 0);
        CHECK_FALSE(pool.acquire(0s));
    });
}

TEST_CASE(
    "Semaphore: a process may be killed anywhere", "[faults][semaphore][slow][no-tsan]"
) {
    at_each_place(semaphore_places, [](Run& run, const char* point, const char* first) {
        mp::Semaphore signal(0);
        run.kill_at(point, first, signal_and_wait, signal);
        const Shared& shared = run.shared();
        // A killed process had counted at most one token that it did not give, or not
        // yet one that it took.
        const int left = shared.made - shared.used;
        CHECK(signal.get_value() <= left);
        CHECK(signal.get_value() >= left - run.deaths());
    });
}

TEST_CASE(
    "Condition: a process may be killed anywhere",
    "[faults][condition][slow][no-tsan][no-asan]"
) {
    at_each_place(condition_places, [](Run& run, const char* point, const char* first) {
        mp::Condition cond;
        // Makes sure that there is always something to come: the others may all wait.
        std::thread maker([&] {
            while (!run.shared().stop) {
                cond.acquire();
                if (run.shared().a < 3) {
                    ++run.shared().a;
                    cond.notify();
                }
                cond.release();
                std::this_thread::yield();
            }
            cond.acquire();
            cond.notify_all();
            cond.release();
        });
        run.set_max_passes(3);
        run.kill_at(point, first, make_or_take, cond);
        maker.join();
        CHECK(run.shared().rounds > 0);
        CHECK(cond.waiting() == 0);
    });
}

TEST_CASE(
    "Barrier: a process may be killed anywhere", "[faults][barrier][slow][no-tsan]"
) {
    const auto context = each_start_method();
    for (const char* const point : barrier_places) {
        for (int seed = 0; seed < seeds(); ++seed) {
            INFO(point << ", seed " << seed);
            Run run(context, seed);
            mp::Barrier barrier({.parties = 2, .action = mp::call(do_nothing)});
            mp::Process other = run.start(go_round, barrier, "", 0);
            mp::Process victim = run.start(
                go_round, barrier, point, 1 + static_cast<int>(run.random(3))
            );
            CHECK(victim.join(too_long + 10s));
            run.shared().stop = true;
            // If the victim was no party yet when it died, the other one waits for one.
            if (!other.join(500ms)) {
                try {
                    barrier.wait(1s);
                } catch (const mp::BrokenBarrierError&) {
                }
            }
            const mp::Deadline soon_enough(too_long / 2);
            CHECK(other.join(soon_enough.remaining()));
            CHECK(other.exitcode() == 0);
            barrier.reset();
            CHECK(barrier.n_waiting() == 0);
            CHECK_FALSE(barrier.broken());
        }
    }
}
