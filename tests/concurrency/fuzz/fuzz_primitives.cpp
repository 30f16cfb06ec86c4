// SPDX-License-Identifier: BSL-1.0
// Lock, Semaphore, CapacityLimiter and Event: who is served, and when.
#include "concurrency/checkpoint.hpp"
#include "concurrency/current_task.hpp"
#include "concurrency/errors.hpp"
#include "fuzz_world.hpp"

#include <optional>
#include <utility>

using concurrency::Cancelled;
using concurrency::Task;

namespace test {

namespace {

/// How something is asked for.
enum class Way { acquire, scoped, nowait };

Way any_way(Fuzz& fuzz) {
    return static_cast<Way>(fuzz.below(3));
}

template <class Primitive>
Task<> ask(Primitive& primitive, Way way, typename Primitive::Guard& guard) {
    switch (way) {
    case Way::acquire:
        co_await primitive.acquire();
        break;
    case Way::scoped:
        guard = co_await primitive.scoped();
        break;
    case Way::nowait:
        primitive.acquire_nowait();
        break;
    }
}

// Some steps of a task that holds something; what they throw.
Task<std::exception_ptr> steps_inside(Fuzz& fuzz, FuzzPlace at) {
    std::exception_ptr error;
    try {
        co_await fuzz.steps(at, fuzz.below(4));
    } catch (...) {
        error = std::current_exception();
    }
    co_return error;
}

// Releases by the guard, if there is one.
template <class Primitive>
void give_back(Fuzz& fuzz, Primitive& primitive, typename Primitive::Guard& guard) {
    if (!guard) {
        primitive.release();
    } else if (fuzz.chance(50)) {
        guard.release();
    } else {
        guard = {};
    }
}

void pass_on(const std::exception_ptr& error) {
    if (error) {
        std::rethrow_exception(error);
    }
}

void pass_on(FuzzEnd end) {
    if (end == FuzzEnd::cancelled) {
        throw Cancelled();
    }
}

// -- Lock.

Task<> hold_lock(Fuzz& fuzz, FuzzPlace at) {
    FuzzLock& one = fuzz.world.locks[static_cast<std::size_t>(fuzz.below(2))];
    const std::uint64_t me = concurrency::current_task().id();
    const Way way = any_way(fuzz);
    concurrency::Lock::Guard guard;
    std::optional<FuzzEnd> expected;
    if (way != Way::nowait && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (one.owner == me) {
        expected = FuzzEnd::runtime_error;
    } else if (one.owner == 0) {
        expected = FuzzEnd::returned;
        one.owner = me;
    } else if (way == Way::nowait) {
        expected = FuzzEnd::would_block;
    } else if (!fuzz.can_end(*at.node)) {
        co_return;  // nobody ends that wait
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, ask(one.lock, way, guard));
    } else {
        FuzzTaskTicket ticket(at, me);
        end = co_await wait_in_line(fuzz, one.line, ticket, ask(one.lock, way, guard));
    }
    if (end != FuzzEnd::returned) {
        pass_on(end);
        co_return;
    }
    fuzz.expect(one.owner == me, "a lock that another task has");
    const std::exception_ptr error = co_await steps_inside(fuzz, at);
    fuzz.expect(one.owner == me, "another task took the lock meanwhile");
    FuzzTaskTicket* const next = one.line.first(fuzz);
    fuzz.expect(
        one.lock.statistics().tasks_waiting == one.line.size(fuzz),
        "how many wait for a lock"
    );
    give_back(fuzz, one.lock, guard);
    one.owner = next == nullptr ? 0 : next->task;
    if (next != nullptr) {
        next->finish(FuzzEnd::returned);
    }
    pass_on(error);
}

// -- Semaphore.

void put_back(Fuzz& fuzz, FuzzSemaphore& one) {
    if (FuzzTicket* next = one.line.first(fuzz)) {
        next->finish(FuzzEnd::returned);
    } else {
        ++one.value;
    }
}

void check(Fuzz& fuzz, FuzzSemaphore& one) {
    fuzz.expect(one.semaphore.value() == one.value, "the value of a semaphore");
    fuzz.expect(
        one.semaphore.statistics().tasks_waiting == one.line.size(fuzz),
        "how many wait for a semaphore"
    );
}

Task<> hold_permit(Fuzz& fuzz, FuzzPlace at) {
    FuzzSemaphore& one = fuzz.world.semaphores[static_cast<std::size_t>(fuzz.below(2))];
    const Way way = any_way(fuzz);
    concurrency::Semaphore::Guard guard;
    std::optional<FuzzEnd> expected;
    if (way != Way::nowait && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (one.value > 0) {
        expected = FuzzEnd::returned;
        --one.value;
    } else if (way == Way::nowait) {
        expected = FuzzEnd::would_block;
    } else if (!fuzz.can_end(*at.node)) {
        co_return;
    }
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, ask(one.semaphore, way, guard));
    } else {
        FuzzTicket ticket(at);
        end = co_await wait_in_line(
            fuzz, one.line, ticket, ask(one.semaphore, way, guard)
        );
    }
    if (end != FuzzEnd::returned) {
        pass_on(end);
        co_return;
    }
    const int by_hand = way == Way::scoped ? 0 : 1;
    one.by_hand += by_hand;
    check(fuzz, one);
    if (way != Way::scoped && fuzz.chance(20)) {
        ++one.left;
        co_return;
    }
    const std::exception_ptr error = co_await steps_inside(fuzz, at);
    check(fuzz, one);
    one.by_hand -= by_hand;
    give_back(fuzz, one.semaphore, guard);
    put_back(fuzz, one);
    check(fuzz, one);
    pass_on(error);
}

// What another task has left.
Task<> return_permit(Fuzz& fuzz, FuzzPlace) {
    FuzzSemaphore& one = fuzz.world.semaphores[static_cast<std::size_t>(fuzz.below(2))];
    if (one.left > 0) {
        --one.left;
        --one.by_hand;
        one.semaphore.release();
        put_back(fuzz, one);
    } else if (one.semaphore.max_value() == one.value) {
        bool is_refused = false;
        try {
            one.semaphore.release();
        } catch (const concurrency::ValueError&) {
            is_refused = true;
        }
        fuzz.expect(is_refused, "a semaphore was released too often");
    }
    check(fuzz, one);
    co_return;
}

// -- CapacityLimiter.

bool has_or_waits(Fuzz& fuzz, const FuzzLimiter& one, FuzzBorrower borrower) {
    return one.borrowers.count(borrower) != 0 ||
           one.line.any(fuzz, [&](const FuzzBorrowerTicket& ticket) {
               return ticket.borrower == borrower;
           });
}

void give_out(Fuzz& fuzz, FuzzLimiter& one) {
    while (static_cast<int>(one.borrowers.size()) < one.total) {
        FuzzBorrowerTicket* const next = one.line.first(fuzz);
        if (next == nullptr) {
            break;
        }
        one.borrowers.insert(next->borrower);
        next->finish(FuzzEnd::returned);
    }
}

void check(Fuzz& fuzz, FuzzLimiter& one) {
    const auto statistics = one.limiter.statistics();
    fuzz.expect(statistics.borrowed_tokens == one.borrowers.size(), "borrowed tokens");
    fuzz.expect(statistics.borrowers.size() == one.borrowers.size(), "borrowers");
    fuzz.expect(statistics.total_tokens == one.total, "the total of a limiter");
    fuzz.expect(
        statistics.tasks_waiting == one.line.size(fuzz), "how many wait for a token"
    );
}

Task<>
ask_for(concurrency::CapacityLimiter& limiter, std::uint64_t number, bool waits) {
    if (waits) {
        co_await limiter.acquire_on_behalf_of(number);
    } else {
        limiter.acquire_on_behalf_of_nowait(number);
    }
}

// For itself, or for a number.
Task<> hold_token(Fuzz& fuzz, FuzzPlace at) {
    FuzzLimiter& one = fuzz.world.limiter;
    const Way way = any_way(fuzz);
    const bool is_task = way == Way::scoped || fuzz.chance(60);
    const FuzzBorrower borrower{
        is_task,
        is_task ? concurrency::current_task().id()
                : static_cast<std::uint64_t>(fuzz.below(4))};
    concurrency::CapacityLimiter::Guard guard;
    std::optional<FuzzEnd> expected;
    if (way != Way::nowait && fuzz.cancelled(*at.node)) {
        expected = FuzzEnd::cancelled;
    } else if (has_or_waits(fuzz, one, borrower)) {
        expected = FuzzEnd::runtime_error;
    } else if (static_cast<int>(one.borrowers.size()) < one.total) {
        expected = FuzzEnd::returned;
        one.borrowers.insert(borrower);
    } else if (way == Way::nowait) {
        expected = FuzzEnd::would_block;
    } else if (!fuzz.can_end(*at.node)) {
        co_return;
    }
    Task<> call = is_task ? ask(one.limiter, way, guard)
                          : ask_for(one.limiter, borrower.second, way != Way::nowait);
    const int by_hand = way == Way::scoped ? 0 : 1;
    FuzzEnd end{};
    if (expected) {
        end = co_await go_through(fuzz, *expected, std::move(call));
    } else {
        FuzzBorrowerTicket ticket(at, borrower);
        end = co_await wait_in_line(fuzz, one.line, ticket, std::move(call));
    }
    if (end != FuzzEnd::returned) {
        pass_on(end);
        co_return;
    }
    one.by_hand += by_hand;
    check(fuzz, one);
    if (!is_task) {
        co_return;  // whoever comes by returns it
    }
    const std::exception_ptr error = co_await steps_inside(fuzz, at);
    check(fuzz, one);
    one.by_hand -= by_hand;
    give_back(fuzz, one.limiter, guard);
    one.borrowers.erase(borrower);
    give_out(fuzz, one);
    check(fuzz, one);
    pass_on(error);
}

Task<> return_token(Fuzz& fuzz, FuzzPlace) {
    FuzzLimiter& one = fuzz.world.limiter;
    const auto number = static_cast<std::uint64_t>(fuzz.below(4));
    const bool has_one = one.borrowers.erase({false, number}) != 0;
    bool is_refused = false;
    try {
        one.limiter.release_on_behalf_of(number);
    } catch (const concurrency::RuntimeError&) {
        is_refused = true;
    }
    fuzz.expect(is_refused != has_one, "who may return a token");
    if (has_one) {
        --one.by_hand;
        give_out(fuzz, one);
    }
    check(fuzz, one);
    co_return;
}

Task<> set_total(Fuzz& fuzz, FuzzPlace) {
    FuzzLimiter& one = fuzz.world.limiter;
    one.total = fuzz.below(4);
    fuzz.look();
    one.limiter.set_total_tokens(one.total);
    give_out(fuzz, one);
    check(fuzz, one);
    co_return;
}

// -- Event.

Task<> wait_for_event(Fuzz& fuzz, FuzzPlace at) {
    FuzzEvent& one = fuzz.world.event;
    FuzzTicket ticket(at);
    FuzzEnd end{};
    if (one.event->is_set() || fuzz.cancelled(*at.node)) {
        FuzzWait wait{at.node};
        const bool before = fuzz.cancelled(*at.node);
        fuzz.begin(wait);
        end = co_await end_of(one.event->wait());
        fuzz.check_open_end(wait, before, end == FuzzEnd::cancelled);
    } else if (fuzz.can_end(*at.node)) {
        end = co_await wait_in_line(fuzz, one.line, ticket, one.event->wait());
    }
    pass_on(end);
}

Task<> set_event(Fuzz& fuzz, FuzzPlace) {
    FuzzEvent& one = fuzz.world.event;
    fuzz.look();
    if (one.event->is_set()) {
        one.event = std::make_unique<concurrency::Event>();
    } else if (fuzz.chance(20)) {
        one.event = std::make_unique<concurrency::Event>();
        one.line.finish_all(fuzz, FuzzEnd::runtime_error);
    } else {
        fuzz.expect(
            one.event->statistics().tasks_waiting == one.line.size(fuzz),
            "how many wait for an event"
        );
        one.event->set();
        one.line.finish_all(fuzz, FuzzEnd::returned);
    }
    co_return;
}

}  // namespace

FuzzOperations primitive_operations() {
    return {
        {"Lock", 10, hold_lock},
        {"Semaphore", 8, hold_permit},
        {"Semaphore.release", 5, return_permit},
        {"CapacityLimiter", 10, hold_token},
        {"release_on_behalf_of", 6, return_token},
        {"set_total_tokens", 4, set_total},
        {"Event.wait", 5, wait_for_event},
        {"Event.set", 4, set_event},
    };
}

}  // namespace test
