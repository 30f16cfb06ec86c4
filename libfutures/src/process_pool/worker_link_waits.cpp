// SPDX-License-Identifier: BSL-1.0
// A task waits for calls that it has submitted to its own pool: what the parent is told
// of that, and what the task runs on its own stack meanwhile.
#include "futures/errors.hpp"
#include "mp/detail/nesting.hpp"

#include "future/dependency_walk.hpp"
#include "os/failpoint.hpp"
#include "os/fence.hpp"
#include "os/spin.hpp"
#include "process_pool/worker_link.hpp"

#include <algorithm>
#include <new>
#include <optional>
#include <utility>

namespace futures::detail {

using mp::detail::FutexScope;
using mp::detail::MutexLock;

namespace {

/// So many calls run inside each other on one stack, if it has room for them.
constexpr std::uint32_t max_depth = 1000;

/// The calls that a future depends on, if it depends on nothing else that is not done.
class CallsBehind final : public DependencyVisitor {
public:
    bool visit(StateBase& state, Edge* /*edge*/) override {
        if (state.done()) {
            return false;
        }
        if (auto* const call = dynamic_cast<NestedCallBase*>(&state)) {
            numbers.push_back(call->number);
        } else if (state.depends_on() == nullptr) {
            others = true;
        }
        return others || numbers.size() >= most_awaited;
    }

    bool visit_hand_made() override { return others = true; }

    std::vector<std::uint64_t> numbers;
    bool others = false;
};

/// While it lives, another thread that finishes this future wakes the task.
class RingsTask final : private Watcher {
public:
    /// Null: nothing to watch.
    RingsTask(mp::detail::FutexWord& bell, StateBase* state)
        : Watcher(false), bell_(bell) {
        set_hears_cancel(true);
        if (state != nullptr && state->add_waiter(*this)) {
            state_ = state;
        }
    }

    ~RingsTask() override {
        if (state_ != nullptr) {
            state_->remove_waiter(*this);
        }
    }

    RingsTask(const RingsTask&) = delete;
    RingsTask& operator=(const RingsTask&) = delete;

private:
    void told(StateBase& /*state*/) noexcept override {
        bell_.fetch_add(1);
        futex_wake(bell_, 1, FutexScope::shared);
    }

    mp::detail::FutexWord& bell_;
    StateBase* state_ = nullptr;
};

}  // namespace

/// While it lives, the parent wakes the task's thread for what it tells, and not the
/// helper. Both ends are sequentially consistent with the parent, which writes, then
/// looks whom to wake: it wakes the new one, or we see here what it wrote. What drain()
/// looks at first is not sequentially consistent by itself.
class WorkerLink::TaskHears {
public:
    explicit TaskHears(WorkerLink& link) noexcept : link_(link) {
        link_.memory_.sleeper.store(LinkSleeper::task);
        mp::os::full_fence();
    }

    ~TaskHears() {
        link_.memory_.sleeper.store(LinkSleeper::helper);
        mp::os::full_fence();
        link_.drain();
    }

    TaskHears(const TaskHears&) = delete;
    TaskHears& operator=(const TaskHears&) = delete;

private:
    WorkerLink& link_;
};

/// From here on the parent counts this worker as blocked.
std::uint64_t
WorkerLink::tell_of_wait(std::uint64_t flags, std::span<const std::uint64_t> numbers) {
    const std::uint64_t wait = ++waits_;
    memory_.waits_in.store(wait);
    MP_FAILPOINT("link: waits, not asked");
    ask({AskKind::wait, wait, flags}, std::as_bytes(numbers));
    MP_FAILPOINT("link: waits");
    return wait;
}

void WorkerLink::tell_wait_is_over() noexcept {
    memory_.waits_in.store(0);
    MP_FAILPOINT("link: wait over");
    // Sequentially consistent with the parent: it sets has_spares, then looks at our
    // word; we stored our word, then look at has_spares.
    if (view_.header().has_spares.load() != 0) {
        ring_parent();
    }
}

bool WorkerLink::run_awaited(StateBase& state) {
    if (auto* const call = dynamic_cast<NestedCallBase*>(&state)) {
        return await(nullptr, [&] { return state.done(); }, {call->number});
    }
    if (state.depends_on() == nullptr) {
        return false;
    }
    CallsBehind calls;
    {
        DependencyWalk walk;
        walk.visit(state, calls);
    }
    if (calls.others || calls.numbers.empty()) {
        return state.done();
    }
    return await(
        &state, [&] { return state.done(); }, std::move(calls.numbers)
    );
}

bool WorkerLink::run_one_of(const Wait& wait) {
    if (wait.size() > most_awaited) {
        return false;
    }
    std::vector<std::uint64_t> numbers;
    std::vector<StateBase*> states;
    for (std::size_t i = 0; i < wait.size(); ++i) {
        StateBase* const state = wait.future(i);
        if (state == nullptr) {
            continue;
        }
        auto* const call = dynamic_cast<NestedCallBase*>(state);
        if (call == nullptr) {
            return false;  // what it waits for may come from elsewhere
        }
        numbers.push_back(call->number);
        states.push_back(state);
    }
    const auto any_done = [&] {
        return std::any_of(states.begin(), states.end(), [](StateBase* state) {
            return state->done();
        });
    };
    return !numbers.empty() && await(nullptr, any_done, std::move(numbers));
}

/// Sleeps until it is done, one of the calls has come back, or was run here: the caller
/// looks again. False: it does not sleep here. `awaited`, unless null, is what other
/// threads than ours may finish.
bool WorkerLink::await(
    StateBase* awaited,
    const std::function<bool()>& done,
    std::vector<std::uint64_t> numbers
) {
    std::optional<TaskHears> hears(std::in_place, *this);
    mp::detail::spin([&] {
        if (drain_mutex_.try_lock()) {
            drain_locked();
            drain_mutex_.unlock();
        }
        return done();
    });
    if (done()) {
        return true;
    }
    const RingsTask rings_task(bell_of(LinkSleeper::task), awaited);
    const bool may_run = depth_ < max_depth && mp::detail::half_of_stack_is_left();
    {
        const MutexLock lock(mutex_);
        awaits_ = true;
    }
    std::uint64_t wait = 0;
    try {
        wait = tell_of_wait(
            WaitFlags::for_ever | WaitFlags::hears | (may_run ? WaitFlags::may_run : 0),
            numbers
        );
    } catch (const std::bad_alloc&) {
        tell_wait_is_over();
        hears.reset();
        const MutexLock lock(mutex_);
        awaits_ = false;
        return false;
    }
    auto& bell = bell_of(LinkSleeper::task);
    std::string deadlock;
    for (;;) {
        const std::uint32_t seen = bell.load();
        drain();
        {
            const MutexLock lock(mutex_);
            if (deadlocked_wait_ == wait) {
                deadlock = std::exchange(deadlock_, {});
            }
            if (!to_run_.empty() || !deadlock.empty()) {
                break;
            }
        }
        // One of several that came back may be all that another thread needs to finish
        // what is waited for: what is left is told anew.
        if (done() || any_gone(numbers)) {
            break;
        }
        futex_wait(bell, seen, mp::Deadline(mp::forever), FutexScope::shared);
    }
    tell_wait_is_over();
    hears.reset();
    std::deque<ToRun> to_run;
    {
        const MutexLock lock(mutex_);
        awaits_ = false;
        to_run = std::exchange(to_run_, {});
    }
    for (ToRun& next : to_run) {
        const bool is_awaited =
            std::find(numbers.begin(), numbers.end(), next.number) != numbers.end();
        if (is_awaited && !done()) {
            run_here(std::move(next));
        } else {
            refuse(next);
        }
    }
    if (!deadlock.empty() && !done()) {
        throw DeadlockError(deadlock);
    }
    return true;
}

/// On top of the task that waits for it.
void WorkerLink::run_here(ToRun to_run) {
    MP_FAILPOINT("link: before a call on the stack");
    bool threw = false;
    ++depth_;
    const int priority = std::exchange(priority_, to_run.priority);
    Message result = runner_.run_on_stack(to_run.name, to_run.call, threw);
    priority_ = priority;
    --depth_;
    MP_FAILPOINT("link: behind a call on the stack");
    if (NestedCallBase* const call = remove(to_run.number)) {
        settle(*call, threw ? TaskEnd::exception : TaskEnd::value, std::move(result));
    }
    tell_of_stacked(AskKind::ended, to_run.number);
}

/// It came when nobody waited for it any more.
void WorkerLink::refuse(const ToRun& to_run) noexcept {
    tell_of_stacked(AskKind::not_run, to_run.number);
}

/// What became of a call for this stack. The parent, and all that depend on the call,
/// would wait for it in vain: without memory for that this worker is lost.
void WorkerLink::tell_of_stacked(AskKind kind, std::uint64_t number) noexcept {
    try {
        ask({kind, number, 0});
    } catch (const std::bad_alloc&) {
        std::abort();
    }
}

/// Any other wait, one with a deadline for example.
void WorkerLink::begin_wait(const Wait& wait) {
    std::vector<std::uint64_t> numbers;
    for (std::size_t i = 0; i < wait.size() && numbers.size() < most_awaited; ++i) {
        auto* const call = dynamic_cast<NestedCallBase*>(wait.future(i));
        if (call != nullptr && !call->future_state().done()) {
            numbers.push_back(call->number);
        }
    }
    tell_of_wait(wait.is_forever() ? WaitFlags::for_ever : 0, numbers);
}

void WorkerLink::end_wait(const Wait& /*wait*/) noexcept {
    tell_wait_is_over();
}

}  // namespace futures::detail
