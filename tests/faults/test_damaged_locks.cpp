// SPDX-License-Identifier: BSL-1.0
// A process writes over the memory of locks, semaphores, conditions and barriers, or
// over the table of processes: what comes of it is a report, an error or nothing; no
// crash, no wait without end.
#include "mp/barrier.hpp"
#include "mp/condition.hpp"
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/event.hpp"
#include "mp/lock.hpp"
#include "mp/queue.hpp"
#include "mp/rlock.hpp"
#include "mp/semaphore.hpp"

#include "faults/damage.hpp"
#include "faults/scribbling.hpp"
#include "memory/process_table.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/patience.hpp"
#include "support/sanitizer.hpp"
#include "support/start_methods.hpp"
#include "sync/barrier_state.hpp"
#include "sync/held_lock.hpp"
#include "sync/token_ledger.hpp"
#include "sync/waiter_slots.hpp"

#include <signal.h>

#include <array>
#include <chrono>
#include <cstdint>
#include <cstring>
#include <functional>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using mp::detail::ProcessTable;
using mp::detail::SharedBlock;
using test::fine;
using test::other;
using test::outcome_of;
using test::told;
using test::values;
using test::words_of;
using test::wrong;

TEST_CASE(
    "Lock: any word of it overwritten while it is held or free", "[faults][lock]"
) {
    for (std::size_t i = 0; i < sizeof(mp::detail::HeldLock) / 8; ++i) {
        for (const std::uint64_t value : values) {
            for (const bool held : {false, true}) {
                INFO("word " << i << " is " << value << (held ? ", held" : ", free"));
                const int outcome = outcome_of([&]() -> int {
                    const auto block =
                        SharedBlock::allocate(sizeof(mp::detail::HeldLock));
                    auto& lock = block.as<mp::detail::HeldLock>();
                    ProcessTable& processes = block.processes();
                    if (held) {
                        lock.acquire_recursively(
                            processes, 1s, mp::detail::DeadOwner::take
                        );
                    }
                    words_of(&lock, sizeof lock)[i] = value;
                    if (held) {
                        try {
                            lock.release_recursively(processes);
                        } catch (const mp::DamagedError&) {
                        } catch (const std::invalid_argument&) {
                        }
                    }
                    // Another process gets it, told or not.
                    return test::run_in_fork([&]() -> int {
                        const auto taken = lock.acquire_recursively(
                            processes, 10s, mp::detail::DeadOwner::take
                        );
                        if (taken == mp::detail::Taken::no) {
                            return wrong;
                        }
                        lock.release_recursively(processes);
                        return fine;
                    });
                });
                CHECK((outcome == fine || outcome == told));
            }
        }
    }
}

TEST_CASE(
    "Lock: a word that names nobody is a dead owner's, and that is told",
    "[faults][lock]"
) {
    for (const std::uint32_t word :
         {0x7fff'ffffU, 0xffff'ffffU, 5U, 0x0010'0400U | 1023U, 0x4000'0401U}) {
        const auto block = SharedBlock::allocate(sizeof(mp::detail::HeldLock));
        auto& lock = block.as<mp::detail::HeldLock>();
        std::memcpy(block.data(), &word, sizeof word);
        CHECK(
            lock.acquire(block.processes(), 10s, mp::detail::DeadOwner::take) ==
            mp::detail::Taken::from_dead
        );
        CHECK(lock.has_report());
        lock.release(block.processes());
    }
}

TEST_CASE(
    "Semaphore: any word of a ledger overwritten is an error or no matter",
    "[faults][semaphore]"
) {
    using mp::detail::TokenLedger;
    std::vector<std::size_t> places;
    for (std::size_t i = 0; i < 24; ++i) {
        places.push_back(i);
    }
    for (std::size_t i = 8 + ProcessTable::capacity; i < 8 + ProcessTable::capacity + 4;
         ++i) {
        places.push_back(i);  // generations
    }
    for (const std::size_t i : places) {
        for (const std::uint64_t value : values) {
            INFO("word " << i << " is " << value);
            const int outcome = outcome_of([&]() -> int {
                const auto block = SharedBlock::allocate(sizeof(TokenLedger));
                auto& ledger = block.as<TokenLedger>();
                ledger.set(2);
                ledger.acquire(block.processes(), 1s, 2);
                words_of(&ledger, sizeof ledger)[i] = value;
                ledger.acquire(block.processes(), 1s, 2);
                ledger.acquire(block.processes(), 100ms, 2);
                ledger.release(block.processes(), 1, 2);
                return fine;
            });
            CHECK((outcome == fine || outcome == told));
        }
    }
}

TEST_CASE(
    "Semaphore: tokens that were wiped out are an error for who waits for one",
    "[faults][semaphore]"
) {
    mp::BoundedSemaphore semaphore(2);
    const auto outcome = outcome_of([&]() -> int {
        const auto block = SharedBlock::allocate(sizeof(mp::detail::TokenLedger));
        auto& ledger = block.as<mp::detail::TokenLedger>();
        ledger.set(2);
        std::memset(block.data(), 0, sizeof(std::uint64_t));
        ledger.acquire(block.processes(), mp::forever, 2);
        return wrong;
    });
    CHECK(outcome == told);
    CHECK(semaphore.acquire(0s));
    semaphore.release();
    CHECK_THROWS_AS(semaphore.release(), std::invalid_argument);
}

TEST_CASE(
    "Barrier: any word of it overwritten breaks it, or does not matter",
    "[faults][barrier]"
) {
    using mp::detail::BarrierMemory;
    using mp::detail::BarrierState;
    for (std::size_t i = 0; i < BarrierMemory::bytes(2) / 8; ++i) {
        for (const std::uint64_t value : values) {
            INFO("word " << i << " is " << value);
            const int outcome = outcome_of([&]() -> int {
                const auto block = SharedBlock::allocate(BarrierMemory::bytes(2));
                BarrierState barrier(block.as<BarrierMemory>(), 2);
                int other_end = 0;
                std::thread party([&] {
                    try {
                        barrier.wait(block.processes(), mp::Deadline(5s), {});
                    } catch (const mp::BrokenBarrierError&) {
                        other_end = told;
                    } catch (...) {
                        other_end = other;
                    }
                });
                while (barrier.waiting() == 0) {
                    std::this_thread::yield();
                }
                words_of(block.data(), block.size())[i] = value;
                int mine = fine;
                try {
                    barrier.wait(block.processes(), mp::Deadline(5s), {});
                } catch (const mp::BrokenBarrierError&) {
                    mine = told;
                }
                party.join();
                if (other_end == other) {
                    return other;
                }
                // New again.
                barrier.reset(block.processes());
                return mine;
            });
            CHECK((outcome == fine || outcome == told));
        }
    }
}

TEST_CASE(
    "Barrier: its memory overwritten as a whole is told to a party that waits for ever",
    "[faults][barrier]"
) {
    using mp::detail::BarrierMemory;
    using mp::detail::BarrierState;
    for (const int value : {0xff, 0x5a}) {
        const int outcome = outcome_of([&]() -> int {
            const auto block = SharedBlock::allocate(BarrierMemory::bytes(3));
            BarrierState barrier(block.as<BarrierMemory>(), 3);
            std::thread scribbler([&] {
                while (barrier.waiting() == 0) {
                    std::this_thread::yield();
                }
                std::memset(block.data(), value, block.size());
            });
            int end = wrong;
            try {
                barrier.wait(block.processes(), mp::Deadline(mp::forever), {});
            } catch (const mp::BrokenBarrierError&) {
                end = told;
            }
            scribbler.join();
            return end;
        });
        CHECK(outcome == told);
    }
}

TEST_CASE(
    "Condition: any word of its waiters overwritten, all still come back",
    "[faults][condition]"
) {
    using mp::detail::WaiterSlots;
    const std::size_t last = sizeof(WaiterSlots) / 8;
    std::vector<std::size_t> places{0, 1, 2, 3};
    for (std::size_t i = last - 8; i < last; ++i) {
        places.push_back(i);  // who watches
    }
    for (const std::size_t i : places) {
        for (const std::uint64_t value : values) {
            INFO("word " << i << " is " << value);
            const int outcome = outcome_of([&]() -> int {
                const auto block = SharedBlock::allocate(sizeof(WaiterSlots));
                const auto lock_block =
                    SharedBlock::allocate(sizeof(mp::detail::OwnerLock));
                auto& slots = block.as<WaiterSlots>();
                auto& lock = lock_block.as<mp::detail::OwnerLock>();
                ProcessTable& processes = block.processes();
                std::vector<std::thread> waiters;
                std::atomic<int> back{0};
                for (int n = 0; n < 3; ++n) {
                    waiters.emplace_back([&] {
                        const auto place = slots.enter(processes);
                        slots.sleep(*place, processes, lock, mp::Deadline(10s));
                        slots.leave(*place);
                        ++back;
                    });
                }
                while (slots.waiting() < 3) {
                    std::this_thread::yield();
                }
                words_of(block.data(), block.size())[i] = value;
                // One that is told before it is found again is told once more.
                while (back < 3) {
                    slots.notify(processes, 3);
                    std::this_thread::yield();
                }
                for (auto& waiter : waiters) {
                    waiter.join();
                }
                return fine;
            });
            CHECK(outcome == fine);
        }
    }
}

// ---- the table of processes and whole arenas, in a program of its own

namespace {

struct Counters {
    mp::Lock lock;
    mp::RLock rlock;
    mp::BoundedSemaphore semaphore{2};
    mp::Condition condition;
    mp::Barrier barrier{2};
    mp::Event event;
};

/// Uses all of them, for a while. What may come: their own errors.
void use(Counters& shared, std::atomic<bool>& stop) {
    const auto attempt = [](auto work) {
        try {
            work();
        } catch (const std::exception&) {
            // Told.
        }
    };
    while (!stop) {
        attempt([&] {
            if (const auto got = shared.lock.acquire(20ms)) {
                static_cast<void>(got.owner_died());
                shared.lock.release();
            }
        });
        attempt([&] {
            if (const auto got = shared.rlock.acquire(20ms)) {
                static_cast<void>(got.owner_died());
                shared.rlock.release();
            }
        });
        attempt([&] {
            if (shared.semaphore.acquire(20ms)) {
                shared.semaphore.release();
            }
        });
        attempt([&] {
            if (shared.condition.acquire(20ms)) {
                attempt([&] {
                    shared.condition.wait(5ms);
                    shared.condition.notify();
                });
                // Also after an error: others that wait() need the lock to come back.
                shared.condition.release();
            }
        });
        attempt([&] { shared.barrier.wait(mp::Timeout(5ms)); });
        attempt([&] { shared.barrier.reset(); });
        attempt([&] {
            shared.event.set();
            shared.event.wait(5ms);
            shared.event.clear();
        });
    }
}

/// Runs in a program of its own, so that its table and arenas are its own. Returns by
/// its exit code what went wrong.
void play(int seed, std::string what, bool under_load) {
    Counters shared;
    std::atomic<bool> stop{false};
    mp::Queue<int> queue(4);
    std::vector<pid_t> users;
    shared.lock.acquire();
    shared.lock.release();
    for (int i = 0; i < (under_load ? 2 : 0); ++i) {
        users.push_back(test::fork_child([&]() -> int {
            const mp::Deadline end(150ms);
            std::thread other([&] { use(shared, stop); });
            while (!end.expired()) {
                std::this_thread::yield();
            }
            stop = true;
            other.join();
            return 0;
        }));
    }
    const pid_t scribbler = test::fork_child([&]() -> int {
        for (int i = 0; i < 5; ++i) {
            test::scribble_over(what, static_cast<std::uint64_t>(seed * 10 + i));
            std::this_thread::yield();
        }
        return 0;
    });
    int code = test::exit_status(scribbler) == 0 ? 0 : 2;
    std::thread here([&] { use(shared, stop); });
    for (const pid_t user : users) {
        if (test::exit_status(user) != 0) {
            code = 3;
        }
    }
    // Something new is as good as ever, or cannot be had: its memory is wiped.
    try {
        mp::Lock fresh;
        if (const auto got = fresh.acquire(1s); !got || got.owner_died()) {
            code = 4;
        } else {
            fresh.release();
        }
    } catch (const mp::DamagedError&) {
        // There is no place left in the table.
    }
    stop = true;
    here.join();
    throw mp::SystemExit(code);
}

void play_seeds(int first, int seeds, std::string what, bool under_load) {
    for (int seed = first; seed < first + seeds; ++seed) {
        auto process =
            mp::get_context(
                seed % 2 == 0 ? mp::StartMethod::spawn : mp::StartMethod::forkserver
            )
                .Process(play, seed, what, under_load);
        process.start();
        INFO(what << ", seed " << seed << (under_load ? ", load" : ", idle"));
        const bool ended = process.join(test::patience(1s));
        CHECK(ended);
        if (!ended) {
            process.kill();
            process.join();
        }
        // 1: it was told of the damage where nothing of this test's catches it.
        const int outcome = process.exitcode().value_or(-1);
        CHECK((outcome == 0 || outcome == 1));
    }
}

}  // namespace

TEST_CASE(
    "Locks: a process that scribbles over their arena or the table of processes",
    "[faults][lock]"
) {
    const auto* const what = GENERATE("mp-arena", "mp-processes");
    const bool under_load = GENERATE(false, true);
    play_seeds(0, test::scribble_seeds(3), what, under_load);
}

TEST_CASE(
    "Locks: a process that scribbles over their arena or the table, three hundred "
    "seeds",
    "[.stress][lock]"
) {
    const auto* const what = GENERATE("mp-arena", "mp-processes");
    const bool under_load = GENERATE(false, true);
    play_seeds(1000, test::scribble_seeds(300), what, under_load);
}
