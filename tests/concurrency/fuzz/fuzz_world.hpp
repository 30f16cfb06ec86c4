// SPDX-License-Identifier: BSL-1.0
// FuzzWorld: what the tasks of a random program share, each thing with a model of it.
// It outlives the loop, so that a program that was stopped somewhere can be looked at.
#pragma once

#include "concurrency/capacity_limiter.hpp"
#include "concurrency/condition.hpp"
#include "concurrency/event.hpp"
#include "concurrency/lock.hpp"
#include "concurrency/priority_queue.hpp"
#include "concurrency/queue.hpp"
#include "concurrency/semaphore.hpp"
#include "fuzz.hpp"
#include "fuzz_line.hpp"
#include "fuzz_stream.hpp"

#include <array>
#include <atomic>
#include <cstdint>
#include <map>
#include <memory>
#include <set>
#include <utility>

namespace futures {
class ThreadPoolExecutor;
}

namespace test {

/// A task that asks, with its number.
struct FuzzTaskTicket : FuzzTicket {
    FuzzTaskTicket(FuzzPlace at, std::uint64_t number) : FuzzTicket(at), task(number) {}

    std::uint64_t task;
};

struct FuzzLock {
    concurrency::Lock lock;
    std::uint64_t owner = 0;
    FuzzLine<FuzzTaskTicket> line;
};

struct FuzzSemaphore {
    explicit FuzzSemaphore(std::int64_t permits, std::optional<std::int64_t> max = {})
        : semaphore(permits, max), initial(permits), value(permits) {}

    concurrency::Semaphore semaphore;
    std::int64_t initial;
    std::int64_t value;
    std::int64_t by_hand = 0;  // taken without a guard, and not returned
    std::int64_t left = 0;     // of those, what nobody returns but somebody else
    FuzzLine<FuzzTicket> line;
};

/// A task's number, or one of the program's own below.
using FuzzBorrower = std::pair<bool, std::uint64_t>;

struct FuzzBorrowerTicket : FuzzTicket {
    FuzzBorrowerTicket(FuzzPlace at, FuzzBorrower one)
        : FuzzTicket(at), borrower(one) {}

    FuzzBorrower borrower;
};

struct FuzzLimiter {
    concurrency::CapacityLimiter limiter{2};
    int total = 2;
    std::set<FuzzBorrower> borrowers;
    FuzzLine<FuzzBorrowerTicket> line;
    int by_hand = 0;  // borrowed without a guard
};

struct FuzzEvent {
    std::unique_ptr<concurrency::Event> event = std::make_unique<concurrency::Event>();
    FuzzLine<FuzzTicket> line;
};

struct FuzzCondition {
    concurrency::Lock lock;
    concurrency::Condition condition{lock};
    concurrency::Condition filled{lock};  // that there is something
    std::uint64_t owner = 0;
    int things = 0;
    std::size_t notified = 0;
    std::size_t returned = 0;
    bool by_hand = false;  // the owner has no guard
};

/// The tasks that wait in a PriorityQueue, with what they bring or get.
struct FuzzPriorityTicket : FuzzTicket {
    explicit FuzzPriorityTicket(FuzzPlace at) : FuzzTicket(at) {}

    std::pair<int, int> item{0, 0};
};

struct FuzzPriorityQueue {
    using Queue = concurrency::PriorityQueue<FuzzItem, int>;

    std::size_t max = 0;
    std::unique_ptr<Queue> queue;
    std::multimap<int, int> items;
    FuzzLine<FuzzPriorityTicket> putters;
    FuzzLine<FuzzPriorityTicket> getters;
};

/// What threads count, which may outlive the program.
struct FuzzCounters {
    std::atomic<int> begun{0};
    std::atomic<int> ended{0};
    std::atomic<int> running{0};  // of those that the limiter lets in
    std::atomic<int> most_running{0};
};

struct FuzzWorld {
    FuzzWorld();
    ~FuzzWorld();

    /// When the program has ended.
    void check_end(Fuzz& fuzz);

    /// When it was stopped somewhere: what tasks held has been given back. Gives what
    /// is wrong, or nothing.
    std::string check_stopped();

    std::array<FuzzLock, 2> locks;
    std::array<FuzzSemaphore, 2> semaphores{FuzzSemaphore(2, 2), FuzzSemaphore(1)};
    FuzzLimiter limiter;
    FuzzEvent event;
    FuzzCondition condition;
    std::array<FuzzStream, 2> streams;
    FuzzQueue queue;
    FuzzPriorityQueue priorities;
    int next_item = 1;

    // Threads.
    futures::ThreadPoolExecutor* pool = nullptr;  // there if there are threads
    std::shared_ptr<FuzzCounters> counters = std::make_shared<FuzzCounters>();
    concurrency::CapacityLimiter thread_limiter{2};
    int outside = 0;  // calls and guests that no task waits for
};

}  // namespace test
