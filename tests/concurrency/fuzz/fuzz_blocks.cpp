// SPDX-License-Identifier: BSL-1.0
// Waits for a time, scopes and groups.
#include "concurrency/errors.hpp"
#include "concurrency/testing.hpp"
#include "fuzz.hpp"

#include <algorithm>
#include <memory>
#include <utility>

using concurrency::Cancelled;
using concurrency::CancelScope;
using concurrency::current_time;
using concurrency::is_cancelled;
using concurrency::Task;
using concurrency::TaskGroup;
using concurrency::TaskStatus;
using test::Fuzz;
using test::FuzzGroup;
using test::FuzzNode;
using test::FuzzPlace;
using test::FuzzWait;

namespace test {

namespace {

// -- Waiting.

Task<> pass_checkpoint(Fuzz& fuzz, FuzzPlace at) {
    const bool before = fuzz.cancelled(*at.node);
    std::exception_ptr error;
    try {
        co_await concurrency::checkpoint();
    } catch (const Cancelled&) {
        error = std::current_exception();
    }
    const bool threw = error != nullptr;
    fuzz.expect(threw == (before || fuzz.cancelled(*at.node)), "checkpoint()");
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> pass_shielded_checkpoint(Fuzz& fuzz, FuzzPlace) {
    bool threw = false;
    try {
        co_await concurrency::cancel_shielded_checkpoint();
    } catch (const Cancelled&) {
        threw = true;
    }
    fuzz.expect(!threw, "cancel_shielded_checkpoint() has thrown");
}

// Awaits what ends at `until`, or when it is cancelled.
Task<> wait_for(Fuzz& fuzz, FuzzPlace at, Task<> waiting, double until) {
    FuzzWait wait{at.node};
    const bool before = fuzz.cancelled(*at.node);
    fuzz.begin(wait);
    std::exception_ptr error;
    try {
        co_await std::move(waiting);
    } catch (const Cancelled&) {
        error = std::current_exception();
    }
    fuzz.check_end(wait, before, error != nullptr, until);
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> sleep_a_while(Fuzz& fuzz, FuzzPlace at) {
    const double delay = fuzz.delay(1);
    return wait_for(fuzz, at, concurrency::sleep(delay), current_time() + delay);
}

Task<> sleep_for_ever(Fuzz& fuzz, FuzzPlace at) {
    if (!fuzz.can_end(*at.node)) {
        return concurrency::checkpoint();  // nobody ends it there
    }
    return wait_for(fuzz, at, concurrency::sleep_forever(), concurrency::inf);
}

Task<> wait_until_all_wait(Fuzz& fuzz, FuzzPlace at) {
    return wait_for(
        fuzz, at, concurrency::testing::wait_all_tasks_blocked(), current_time()
    );
}

// -- Changing any scope.

Task<> cancel_one(Fuzz& fuzz, FuzzPlace) {
    if (FuzzNode* node = fuzz.any_node()) {
        fuzz.cancel(*node);
    }
    co_return;
}

Task<> move_a_deadline(Fuzz& fuzz, FuzzPlace) {
    if (FuzzNode* node = fuzz.any_node()) {
        const double deadline = current_time() + fuzz.delay(-4);
        fuzz.set_deadline(*node, fuzz.chance(20) ? concurrency::inf : deadline);
    }
    co_return;
}

Task<> turn_a_shield(Fuzz& fuzz, FuzzPlace) {
    FuzzNode* node = fuzz.any_node();
    if (node != nullptr && !node->keeps_shield) {
        fuzz.set_shield(*node, fuzz.chance(30));
    }
    co_return;
}

// -- Errors.

Task<> fail(Fuzz& fuzz, FuzzPlace at) {
    if (at.group != nullptr) {
        ++fuzz.thrown;
        throw test::FuzzError();
    }
    co_return;
}

// Cancelled is caught, and the task goes on, as it should not.
Task<> swallow(Fuzz& fuzz, FuzzPlace at) {
    try {
        co_await fuzz.steps(at, 3);
    } catch (const Cancelled&) {
        co_return;
    }
}

// -- Blocks.

struct Block {
    FuzzNode node;
    bool was_cancelled = false;  // the body ended with Cancelled
    bool has_failed = false;
};

// Runs the scope of a block, with `delay` after which it ends or inf. What comes out is
// what has to.
Task<> run_block(
    Fuzz& fuzz, FuzzPlace at, CancelScope& scope, Block& block, double delay, bool fails
) {
    auto body = [&]() -> Task<> {
        const double latest = std::min(block.node.deadline, current_time() + delay);
        block.node.deadline = scope.deadline();
        fuzz.expect(
            fuzz.is_real() ? block.node.deadline <= latest
                           : block.node.deadline == latest,
            "the deadline of a scope"
        );
        fuzz.enter(block.node);
        std::exception_ptr error;
        try {
            co_await fuzz.steps({&block.node, at.group}, 1 + fuzz.below(5));
        } catch (...) {
            error = std::current_exception();
        }
        block.was_cancelled = is_cancelled(error);
        block.has_failed = error && !block.was_cancelled;
        if (error) {
            std::rethrow_exception(error);
        }
    };
    bool completed = false;
    bool timed_out = false;
    std::exception_ptr error;
    try {
        completed = co_await scope.run(body);
    } catch (const concurrency::TimeoutError&) {
        timed_out = true;
    } catch (...) {
        error = std::current_exception();
    }
    const bool is_called = fuzz.called(block.node);
    const bool around = !block.node.shield && fuzz.cancelled(*at.node);
    const bool absorbs = block.was_cancelled && is_called && !around;
    fuzz.leave(block.node);
    fuzz.cancelled_blocks += absorbs;
    fuzz.expect(scope.cancel_called() == is_called, "cancel_called()");
    fuzz.expect(scope.cancelled_caught() == absorbs, "cancelled_caught()");
    fuzz.expect(
        completed == (!block.was_cancelled && !block.has_failed), "a block's result"
    );
    fuzz.expect(
        block.node.is_unsure ||
            timed_out == (absorbs && fails && block.node.by_deadline),
        "TimeoutError"
    );
    fuzz.expect(
        is_cancelled(error) == (block.was_cancelled && !absorbs), "who absorbs"
    );
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> run_scope(Fuzz& fuzz, FuzzPlace at) {
    Block block{{at.node}};
    block.node.shield = fuzz.chance(20);
    if (fuzz.chance(30)) {
        block.node.deadline = current_time() + fuzz.delay(-2);
    }
    CancelScope scope({.deadline = block.node.deadline, .shield = block.node.shield});
    block.node.scope = &scope;
    if (fuzz.chance(10)) {
        fuzz.called(block.node);
        scope.cancel();
        block.node.called = true;
    }
    co_await run_block(fuzz, at, scope, block, concurrency::inf, false);
}

Task<> run_limit(Fuzz& fuzz, FuzzPlace at) {
    Block block{{at.node}};
    block.node.shield = fuzz.chance(20);
    const double delay = fuzz.delay();
    const bool fails = fuzz.chance(50);
    const concurrency::LimitOptions options{.shield = block.node.shield};
    CancelScope scope = fails ? concurrency::fail_after(delay, options)
                              : concurrency::move_on_after(delay, options);
    block.node.scope = &scope;
    co_await run_block(fuzz, at, scope, block, delay, fails);
}

// -- Groups.

Task<> run_child(Fuzz& fuzz, FuzzGroup& group) {
    ++group.alive;
    ++fuzz.tasks;
    std::exception_ptr error;
    try {
        co_await fuzz.steps({&group.node, &group}, 1 + fuzz.below(6));
    } catch (...) {
        error = std::current_exception();
    }
    --group.alive;
    fuzz.note_end(group, error);
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> start_child(Fuzz& fuzz, FuzzPlace at) {
    if (at.group != nullptr) {
        at.group->handle->start_soon(run_child, std::ref(fuzz), std::ref(*at.group));
    }
    co_return;
}

// A task that start() waits for.
struct Started {
    FuzzNode node;   // its own scope
    FuzzWait* wait;  // of start(), until the task is the group's
    bool has_value = false;
};

Task<> run_started(
    Fuzz& fuzz,
    FuzzGroup& group,
    std::shared_ptr<Started> state,
    TaskStatus<int>& status
) {
    ++group.alive;
    ++fuzz.tasks;
    std::exception_ptr error;
    try {
        co_await fuzz.steps({&state->node, &group}, fuzz.below(3));
        if (fuzz.chance(85)) {
            fuzz.look();
            status.started(42);
            state->has_value = true;
            if (state->wait->cancelled_at == concurrency::inf) {
                state->wait->is_over = true;
                state->wait = nullptr;
            }
        }
        co_await fuzz.steps({&state->node, &group}, fuzz.below(4));
    } catch (...) {
        error = std::current_exception();
    }
    --group.alive;
    if (state->wait == nullptr) {
        fuzz.note_end(group, error);
    } else {
        fuzz.look();
        state->wait->is_over = true;
    }
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> start_and_wait(Fuzz& fuzz, FuzzPlace at) {
    if (at.group == nullptr) {
        co_return;
    }
    const auto state = std::make_shared<Started>();
    state->node.parent = &at.group->node;
    FuzzWait wait{at.node, &state->node};
    state->wait = &wait;
    fuzz.begin(wait);
    fuzz.look();
    std::exception_ptr error;
    bool has_value = false;
    bool is_silent = false;
    try {
        const int value = co_await at.group->handle->start<int>(
            run_started, std::ref(fuzz), std::ref(*at.group), state
        );
        has_value = value == 42;
    } catch (const concurrency::RuntimeError&) {
        is_silent = true;
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.end(wait);
    fuzz.expect(!has_value || state->has_value, "a value that was not given");
    fuzz.expect(!is_silent || state->wait != nullptr, "started() was not seen");
    fuzz.expect(
        !is_cancelled(error) || wait.cancelled_at != concurrency::inf ||
            fuzz.cancelled(*at.node),
        "Cancelled out of start()"
    );
    if (error) {
        std::rethrow_exception(error);
    }
}

Task<> run_group(Fuzz& fuzz, FuzzPlace at) {
    FuzzGroup group;
    group.node.parent = at.node;
    auto body = [&](TaskGroup& handle) -> Task<> {
        group.handle = handle;
        group.node.scope = &handle.cancel_scope();
        fuzz.enter(group.node);
        std::exception_ptr error;
        try {
            for (int i = fuzz.below(4); i > 0; --i) {
                co_await start_child(fuzz, {&group.node, &group});
            }
            co_await fuzz.steps({&group.node, &group}, fuzz.below(6));
        } catch (...) {
            error = std::current_exception();
        }
        fuzz.note_end(group, error);
        if (error) {
            std::rethrow_exception(error);
        }
    };
    std::exception_ptr error;
    try {
        co_await concurrency::create_task_group(body);
    } catch (...) {
        error = std::current_exception();
    }
    fuzz.expect(group.alive == 0, "a task outlives its group");
    const bool is_called = fuzz.called(group.node);
    const bool around = !group.node.shield && fuzz.cancelled(*at.node);
    const bool passes =
        group.has_cancellation && !group.has_error && !(is_called && !around);
    fuzz.leave(group.node);
    fuzz.cancelled_blocks += group.has_cancellation && !passes;
    fuzz.expect(is_cancelled(error) == passes, "what comes out of a group");
    fuzz.expect((error && !passes) == group.has_error, "errors of a group");
    if (error && !passes) {
        if (at.group == nullptr || fuzz.chance(70)) {
            fuzz.arrived += test::count_errors(error);
            co_return;
        }
    }
    if (error) {
        std::rethrow_exception(error);
    }
}

}  // namespace

FuzzOperations block_operations() {
    return {
        {"checkpoint", 10, pass_checkpoint},
        {"cancel_shielded_checkpoint", 3, pass_shielded_checkpoint},
        {"sleep", 14, sleep_a_while},
        {"sleep_forever", 2, sleep_for_ever},
        {"wait_all_tasks_blocked", 3, wait_until_all_wait},
        {"cancel", 4, cancel_one},
        {"set_deadline", 4, move_a_deadline},
        {"set_shield", 4, turn_a_shield},
        {"an error", 2, fail},
        {"a swallowed Cancelled", 3, swallow},
        {"a scope", 12, run_scope},
        {"a limit", 10, run_limit},
        {"a group", 14, run_group},
        {"start_soon", 8, start_child},
        {"start", 8, start_and_wait},
    };
}

}  // namespace test
