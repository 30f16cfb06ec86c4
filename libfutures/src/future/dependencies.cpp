// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/dependencies.hpp"

#include "futures/errors.hpp"
#include "mp/detail/forced_unwind.hpp"
#include "mp/detail/nested_exception.hpp"
#include "mp/remote_error.hpp"

#include "future/ready.hpp"

#include <sched.h>

#include <string>

namespace futures::detail {

// A graph has many. docs/concepts/dependencies.md tells this number.
static_assert(sizeof(void*) != 8 || sizeof(Edge) == 48);

// Edge. Of the thread that tells it and the one that takes it out of the list, the
// first to move its phase goes on; the other one waits for it, so that neither the
// future nor the edge goes away under it. No lock of the list is held while one waits.

/// For the thread that tells it: whether it is still wanted.
bool Edge::end() noexcept {
    for (;;) {
        Phase phase = Phase::hooked;
        if (phase_.compare_exchange_strong(phase, Phase::over)) {
            return true;
        }
        if (phase == Phase::over) {
            return false;
        }
        sched_yield();  // for a few instructions of the other thread
    }
}

void Edge::told(StateBase& state) {
    const DependenciesPtr<Dependencies> owner(owner_);
    if (end()) {
        owner->ended(*this, state);
    } else if (kind() == Kind::keeping_edge) {
        state.drop_reference();
    }
}

void Edge::given_up() noexcept {
    const DependenciesPtr<Dependencies> owner(owner_);
    if (end()) {
        owner->gave_up();
    }
}

// Dependencies

Dependencies::~Dependencies() {
    forget_values();
}

void Dependencies::forget_values() noexcept {
    for (std::size_t i = 0; i < added_; ++i) {
        // Another thread may just be telling it of one more, if it was stopped.
        if (edges_[i].counted_.exchange(false)) {
            edges_[i].state_->drop_reference();
        }
    }
}

void Dependencies::watch() {
    Ready now;
    keep();
    const DependenciesPtr<Dependencies> kept(this);
    left_.store(added_ + 1);
    // order: relaxed, as in keep(). One for each edge.
    references_.fetch_add(
        static_cast<std::uint32_t>(added_), std::memory_order_relaxed
    );
    for (std::size_t i = 0; i < added_; ++i) {
        edges_[i].state_->fetch_last_watcher();
    }
    std::uint32_t hooked = 0;
    for (std::size_t i = 0; i < added_ && !decided_.load(); ++i) {
        Edge& edge = edges_[i];
        // order: relaxed, published by the list's lock.
        edge.phase_.store(Edge::Phase::hooked, std::memory_order_relaxed);
        if (edge.state_->try_add(edge)) {
            ++hooked;
            continue;
        }
        // order: relaxed, no other thread knows of it.
        edge.phase_.store(Edge::Phase::apart, std::memory_order_relaxed);
        if (edge.kind() == Watcher::Kind::keeping_edge) {
            edge.state_->add_reference();
        }
        ended(edge, *edge.state_);
    }
    // order: relaxed, `kept` is another one.
    references_.fetch_sub(
        static_cast<std::uint32_t>(added_) - hooked, std::memory_order_relaxed
    );
    // Whoever decides does so first, and looks at this then; we the other way round.
    hooked_.store(true);
    if (decided_.load()) {
        unhook();
    } else if (left_.fetch_sub(1) == 1 && decide()) {
        if (needs_ == Needs::first) {
            keep();
            Ready::add(*this);
        } else {
            ready();
        }
    }
    now.run();
}

bool Dependencies::leave() noexcept {
    if (!decide()) {
        return false;
    }
    unhook();
    left();
    return true;
}

void Dependencies::unhook() noexcept {
    if (!hooked_.load()) {
        return;  // watch() does it
    }
    for (std::size_t i = 0; i < added_; ++i) {
        Edge& edge = edges_[i];
        auto phase = Edge::Phase::hooked;
        while (!edge.phase_.compare_exchange_strong(phase, Edge::Phase::leaving) &&
               phase == Edge::Phase::looked_at) {
            sched_yield();  // until the walk is over
            phase = Edge::Phase::hooked;
        }
        if (phase == Edge::Phase::hooked) {
            const bool removed = edge.state_->remove_edge(edge);
            edge.phase_.store(Edge::Phase::over);
            if (removed) {
                drop();  // the edge's; whoever lets us do this has another
            }
        }
    }
}

/// With a reference to `state` if the edge keeps it.
void Dependencies::ended(Edge& edge, StateBase& state) {
    const bool keeps = edge.kind() == Watcher::Kind::keeping_edge;
    if (needs_ == Needs::first) {
        if (decide()) {
            first_ = static_cast<std::size_t>(&edge - edges_.get());
            ready();
        }
        return;
    }
    const bool cancelled = state.state() != FutureState::finished;
    if (needs_ != Needs::ends &&
        (cancelled || (needs_ == Needs::values && state.raised()))) {
        if (!keeps) {
            state.add_reference();
        }
        StatePtr<StateBase> failed(&state);
        if (decide()) {
            failed_ = std::move(failed);
            keep();
            Ready::add(*this);
        }
        return;
    }
    edge.counted_ = keeps;
    if (left_.fetch_sub(1) == 1 && decide()) {
        ready();
    }
}

void Dependencies::gave_up() {
    if ((needs_ != Needs::first || left_.fetch_sub(1) == 1) && decide()) {
        keep();
        Ready::add(*this);
    }
}

void Dependencies::ready() {
    going_on_ = true;
    keep();
    if (at_once_) {
        run();
    } else {
        Ready::add(*this);
    }
}

void Dependencies::run() {
    const DependenciesPtr<Dependencies> kept(this);
    // order: relaxed, only this thread asks whether it is its own.
    ready_in_.store(nullptr, std::memory_order_relaxed);
    if (going_on_) {
        if (needs_ == Needs::first) {
            unhook();
        }
        go_on();
        return;
    }
    unhook();
    Obstacle obstacle;
    if (!failed_) {
        obstacle.kind = Obstacle::Kind::given_up;
    } else if (failed_->state() != FutureState::finished) {
        obstacle.kind = Obstacle::Kind::cancelled;
    } else {
        failed_->settle_value();
        obstacle.cause = failed_->exception();
    }
    failed_ = {};
    stop(std::move(obstacle));
}

// DependsOn

Dependencies* DependsOn::hold(bool& first) noexcept {
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed);
    do {
        first = word != 0 && (word & held_bit) == 0;
        // order: acquire pairs with set(), so that what it has is visible.
    } while (
        first &&
        !word_.compare_exchange_weak(
            word, word | held_bit, std::memory_order_acquire, std::memory_order_relaxed
        )
    );
    return of(word);
}

void DependsOn::let_go() noexcept {
    // order: release pairs with clear_when_free(), so that the look is over.
    word_.fetch_and(~held_bit, std::memory_order_release);
}

void DependsOn::clear_when_free() noexcept {
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed) & ~held_bit;
    Dependencies* const on = of(word);
    // order: acquire pairs with let_go(), so that the look is over.
    while (!word_.compare_exchange_weak(
        word, 0, std::memory_order_acquire, std::memory_order_relaxed
    )) {
        word &= ~held_bit;
        sched_yield();
    }
    on->drop();
}

// What a failure is for those that depend on it

namespace {

/// The first failure of a chain, and how far away it is.
struct Root {
    std::exception_ptr cause;
    std::size_t steps = 1;
    std::string text = {};
};

/// Its type and text, without its causes.
std::string text_of(const std::exception_ptr& exception) {
    const std::string all = mp::detail::describe_exception(exception);
    return all.substr(0, all.find('\n'));
}

Root root_of(const std::exception_ptr& cause) {
    try {
        std::rethrow_exception(cause);
    } catch (const DependencyError& error) {
        const auto nested = mp::detail::current_cause();
        const auto& root = nested != nullptr ? nested : cause;
        return {root, error.steps() + 1, text_of(root)};
    } catch (...) {
        return {cause, 1, text_of(cause)};
    }
}

}  // namespace

std::exception_ptr dependency_error(const Obstacle& obstacle) {
    if (obstacle.kind == Obstacle::Kind::given_up) {
        return std::make_exception_ptr(DependencyError(
            "the task was not run: no handle is left of a future made by hand that it "
            "depends on, so that nobody can complete it"
        ));
    }
    if (obstacle.kind == Obstacle::Kind::cancelled) {
        return std::make_exception_ptr(
            CancelledError("a future that the task depends on was cancelled")
        );
    }
    const Root root = root_of(obstacle.cause);
    std::string text =
        "the task was not run: an argument or another future that it depends on failed";
    if (root.steps > 1) {
        text += ", " + std::to_string(root.steps) + " tasks back";
    }
    text += ": " + root.text;
    return mp::detail::with_cause(DependencyError(text, root.steps), root.cause);
}

void throw_dependency_error() {
    try {
        throw;
    } catch (const mp::detail::ForcedUnwind&) {
        throw;
    } catch (...) {
        std::rethrow_exception(
            dependency_error({Obstacle::Kind::failed, std::current_exception()})
        );
    }
}

}  // namespace futures::detail
