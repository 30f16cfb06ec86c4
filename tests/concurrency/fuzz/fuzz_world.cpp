// SPDX-License-Identifier: BSL-1.0
#include "fuzz_world.hpp"

namespace test {

FuzzWorld::FuzzWorld() = default;
FuzzWorld::~FuzzWorld() = default;

void FuzzWorld::check_end(Fuzz& fuzz) {
    for (const FuzzLock& one : locks) {
        fuzz.expect(one.owner == 0 && !one.lock.locked(), "a lock was not released");
    }
    for (const FuzzSemaphore& one : semaphores) {
        const std::int64_t value = one.semaphore.value();
        fuzz.expect(value == one.value, "a semaphore's value");
        fuzz.expect(value + one.left == one.initial, "permits were lost");
    }
    fuzz.expect(
        limiter.limiter.borrowed_tokens() == limiter.by_hand &&
            limiter.borrowers.size() == static_cast<std::size_t>(limiter.by_hand),
        "tokens were lost"
    );
    fuzz.expect(!condition.lock.locked(), "a condition's lock was not released");
    fuzz.expect(condition.notified == condition.returned, "notifications were lost");
    fuzz.expect(thread_limiter.borrowed_tokens() == 0, "a thread's token was lost");
}

std::string FuzzWorld::check_stopped() {
    std::string wrong;
    for (const FuzzLock& one : locks) {
        const auto statistics = one.lock.statistics();
        // One that was not taken by a guard is broken for good.
        if (statistics.owner || statistics.tasks_waiting != 0) {
            wrong += "a lock has an owner; ";
        }
    }
    for (const FuzzSemaphore& one : semaphores) {
        if (one.semaphore.value() + one.by_hand != one.initial) {
            wrong += "permits were lost; ";
        }
    }
    if (limiter.limiter.borrowed_tokens() != limiter.by_hand) {
        wrong += "tokens were lost; ";
    }
    if (thread_limiter.borrowed_tokens() != 0) {
        wrong += "a thread's token was lost; ";
    }
    return wrong;
}

}  // namespace test
