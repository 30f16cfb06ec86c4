// SPDX-License-Identifier: BSL-1.0
#include "future/dependency_walk.hpp"

#include "futures/detail/making.hpp"
#include "futures/errors.hpp"

#include "future/ready.hpp"
#include "os/fork_lock.hpp"

#include <algorithm>
#include <new>

namespace futures::detail {

namespace {

/// The walks of this process. A fork waits for the one that goes on: its marks would
/// stay in the child.
struct Walks {
    mp::os::ForkLock mutex;
    std::uint64_t last = 0;  // guarded by it

    static Walks& all() {
        static Walks& walks = *new Walks;
        return walks;
    }
};

// While the program is loaded: no fork can fall into the making.
[[maybe_unused]] const bool made_early = (Walks::all(), true);

}  // namespace

DependencyWalk::DependencyWalk() {
    Walks& all = Walks::all();
    lock_ = std::unique_lock(all.mutex);
    number_ = ++all.last;
}

DependencyWalk::~DependencyWalk() {
    // What an edge leads to is held by it, so from the end.
    for (auto at = held_.rbegin(); at != held_.rend(); ++at) {
        (*at)->let_go();
    }
    for (auto at = edges_.rbegin(); at != edges_.rend(); ++at) {
        (*at)->phase_.store(Edge::Phase::hooked);
    }
}

Dependencies* DependencyWalk::of(StateBase& state) noexcept {
    DependsOn* const on = state.depends_on();
    if (on == nullptr) {
        return nullptr;
    }
    try {
        held_.push_back(on);
    } catch (const std::bad_alloc&) {
        steps_ = most_steps;
        return nullptr;
    }
    bool first = false;
    Dependencies* const dependent = on->hold(first);
    if (!first) {
        held_.pop_back();
    }
    return dependent != nullptr && dependent->hooked_.load() ? dependent : nullptr;
}

bool DependencyWalk::next(
    Dependencies& dependent, std::size_t& at, Open& open
) noexcept {
    const auto is_over = [](const Edge& edge) {
        const auto phase = edge.phase_.load();
        return phase == Edge::Phase::over || phase == Edge::Phase::apart;
    };
    // They end in about this order, and never come back.
    while (dependent.open_ < dependent.added_ &&
           is_over(dependent.edges_[dependent.open_])) {
        ++dependent.open_;
    }
    for (at = std::max(at, dependent.open_); at < dependent.added_;) {
        if (is_long()) {
            return false;
        }
        ++steps_;
        Edge& edge = dependent.edges_[at++];
        if (edge.hand_made_) {
            if (!is_over(edge)) {
                open = {&edge, nullptr};
                return true;
            }
            continue;
        }
        try {
            edges_.push_back(&edge);
        } catch (const std::bad_alloc&) {
            steps_ = most_steps;
            return false;
        }
        auto phase = Edge::Phase::hooked;
        if (edge.phase_.compare_exchange_strong(phase, Edge::Phase::looked_at)) {
            open = {&edge, edge.state_};
            return true;
        }
        edges_.pop_back();
    }
    return false;
}

bool DependencyWalk::enter(StateBase& state, DependencyVisitor& visitor) {
    Dependencies* const dependent = state.done() ? nullptr : of(state);
    return dependent != nullptr && enter(*dependent, visitor);
}

bool DependencyWalk::enter(Dependencies& dependent, DependencyVisitor& visitor) {
    if (dependent.seen_ == number_) {
        return false;
    }
    dependent.seen_ = number_;
    if (visitor.enter(dependent)) {
        return true;
    }
    if (visitor.goes_into(dependent)) {
        places_.push_back({&dependent, 0});
    }
    return false;
}

bool DependencyWalk::visit(StateBase& state, DependencyVisitor& visitor) {
    places_.clear();
    return visitor.visit(state, nullptr) || enter(state, visitor) || go(visitor);
}

bool DependencyWalk::visit(Dependencies& dependent, DependencyVisitor& visitor) {
    places_.clear();
    return dependent.hooked_.load() && (enter(dependent, visitor) || go(visitor));
}

bool DependencyWalk::go(DependencyVisitor& visitor) {
    Open open;
    while (!places_.empty()) {
        if (!next(*places_.back().dependent, places_.back().at, open)) {
            places_.pop_back();
        } else if (open.state == nullptr) {
            if (visitor.visit_hand_made()) {
                return true;
            }
        } else if (visitor.visit(*open.state, open.edge) || enter(*open.state, visitor)) {
            return true;
        }
    }
    return false;
}

StateBase* DependencyWalk::take(Edge& edge) noexcept {
    StateBase& state = *edge.state_;
    if (!state.remove_edge(edge)) {
        return nullptr;
    }
    state.add_reference();  // for tell()
    if (edge.keeps()) {
        state.add_reference();
    }
    return &state;
}

void DependencyWalk::tell(Edge& edge, StateBase& state) {
    const StatePtr<StateBase> kept(&state);
    Ready ready;
    edge.told(state);
    ready.run();
}

// What waits for its turn in this thread

namespace {

class OwnReady final : public DependencyVisitor {
public:
    bool enter(Dependencies& dependent) override {
        if (Ready::is_here(dependent)) {
            found = &dependent;
        }
        return found != nullptr;
    }

    Dependencies* found = nullptr;
};

}  // namespace

bool run_own_ready(const Wait& wait) {
    OwnReady ready;
    try {
        DependencyWalk walk;
        for (std::size_t i = 0; i < wait.size() && ready.found == nullptr; ++i) {
            if (StateBase* const state = wait.future(i)) {
                walk.visit(*state, ready);
            }
        }
    } catch (const std::bad_alloc&) {
        return false;
    }
    // Only this thread takes it from there.
    return ready.found != nullptr && Ready::run_now(*ready.found);
}

// What this thread makes itself

namespace {

class MadeHere final : public DependencyVisitor {
public:
    bool visit(StateBase& state, Edge* /*edge*/) override {
        return !state.done() && state.maker() == Making::this_thread();
    }

    bool goes_into(const Dependencies& dependent) override {
        return dependent.needs_each();
    }
};

}  // namespace

void check_not_made_here(StateBase& state) {
    if (!Making::is_here()) {
        return;
    }
    MadeHere made;
    bool found = false;
    {
        DependencyWalk walk;
        found = walk.visit(state, made);
    }
    if (found) {
        throw DeadlockError("this wait would never end: a function that then() or "
                            "recover() calls waits for what depends on its result");
    }
}

}  // namespace futures::detail
