// SPDX-License-Identifier: BSL-1.0
// Condition: one at a time, and no notification is lost. In which order those that were
// cancelled get the lock back the model does not say.
#include "concurrency/current_task.hpp"
#include "concurrency/errors.hpp"
#include "fuzz_world.hpp"

#include <algorithm>
#include <utility>

using concurrency::Cancelled;
using concurrency::Condition;
using concurrency::Task;

namespace test {

namespace {

// Awaits a call that ends with the lock of the condition, whatever comes out of it.
Task<FuzzEnd> get_lock(Fuzz& fuzz, FuzzPlace at, Task<> call, bool has_it_before) {
    FuzzCondition& one = fuzz.world.condition;
    const std::uint64_t me = concurrency::current_task().id();
    FuzzWait wait{at.node};
    const bool before = fuzz.cancelled(*at.node);
    fuzz.begin(wait);
    const FuzzEnd end = co_await end_of(std::move(call));
    fuzz.check_open_end(wait, before, end == FuzzEnd::cancelled);
    if (end == FuzzEnd::returned || has_it_before) {
        fuzz.expect(one.owner == 0, "two tasks have the lock of a condition");
        one.owner = me;
    }
    co_return end;
}

void let_go(FuzzCondition& one) {
    one.owner = 0;
}

void notify(Fuzz& fuzz, FuzzCondition& one) {
    const std::size_t waiting = one.condition.statistics().tasks_waiting;
    const auto n = static_cast<std::size_t>(fuzz.below(4));
    if (n == 3) {
        one.condition.notify_all();
        one.notified += waiting;
    } else {
        one.condition.notify(n);
        one.notified += std::min(n, waiting);
    }
    fuzz.expect(
        one.condition.statistics().tasks_waiting ==
            (n == 3 ? 0 : waiting - std::min(n, waiting)),
        "how many wait to be notified"
    );
}

Task<FuzzEnd> wait_once(Fuzz& fuzz, FuzzPlace at, FuzzCondition& one) {
    let_go(one);
    const FuzzEnd end = co_await get_lock(fuzz, at, one.condition.wait(), true);
    one.returned += end == FuzzEnd::returned;
    co_return end;
}

Task<FuzzEnd> wait_for_a_thing(Fuzz& fuzz, FuzzPlace at, FuzzCondition& one) {
    if (one.things > 0) {
        const FuzzEnd end = co_await end_of([](FuzzCondition& what) -> Task<> {
            const auto is_there = [&] {
                return what.things > 0;
            };
            co_await what.filled.wait_for(is_there);
        }(one));
        fuzz.expect(end == FuzzEnd::returned, "wait_for() has nothing to wait for");
        --one.things;
        co_return end;
    }
    let_go(one);
    auto is_there = [&] {
        // Asked with the lock; the first time it is this task's still.
        return one.things > 0;
    };
    auto waiting = [](Condition& filled, decltype(is_there)& predicate) -> Task<> {
        co_await filled.wait_for(predicate);
    };
    Task<> call = waiting(one.filled, is_there);
    const FuzzEnd end = co_await get_lock(fuzz, at, std::move(call), true);
    if (end == FuzzEnd::returned) {
        fuzz.expect(one.things > 0, "wait_for() returned too early");
        --one.things;
    }
    co_return end;
}

Task<> ask_for_lock(Fuzz& fuzz, Condition& condition, Condition::Guard& guard) {
    if (fuzz.chance(50)) {
        co_await condition.acquire();
    } else {
        guard = co_await condition.scoped();
    }
}

Task<> use_condition(Fuzz& fuzz, FuzzPlace at) {
    FuzzCondition& one = fuzz.world.condition;
    if (!fuzz.can_end(*at.node) || one.owner == concurrency::current_task().id()) {
        co_return;
    }
    Condition::Guard guard;
    FuzzEnd end =
        co_await get_lock(fuzz, at, ask_for_lock(fuzz, one.condition, guard), false);
    if (end != FuzzEnd::returned) {
        fuzz.expect(end == FuzzEnd::cancelled, "the lock of a condition");
        throw Cancelled();
    }
    std::exception_ptr error;
    switch (fuzz.below(6)) {
    case 0:
    case 1:
        end = co_await wait_once(fuzz, at, one);
        break;
    case 2:
        end = co_await wait_for_a_thing(fuzz, at, one);
        break;
    case 3:
        ++one.things;
        one.filled.notify();
        break;
    case 4:
        notify(fuzz, one);
        break;
    default:
        try {
            co_await fuzz.steps(at, fuzz.below(3));
        } catch (...) {
            error = std::current_exception();
        }
        notify(fuzz, one);
        break;
    }
    fuzz.expect(
        one.owner == concurrency::current_task().id(), "who has a condition's lock"
    );
    let_go(one);
    if (guard) {
        guard = {};
    } else {
        one.condition.release();
    }
    if (end == FuzzEnd::cancelled) {
        throw Cancelled();
    }
    fuzz.expect(end == FuzzEnd::returned, "how a wait in a condition ended");
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace

FuzzOperations condition_operations() {
    return {{"Condition", 14, use_condition}};
}

}  // namespace test
