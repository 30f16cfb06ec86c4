// SPDX-License-Identifier: BSL-1.0
// DependencyWalk: a look at what a future depends on, and what that depends on, as far
// as it is not done.
//
// An edge holds no reference to a future that is not done, so a walk holds the edges
// that it goes along: whoever would tell such an edge, or take it out, waits until the
// walk is over. With the edge the walk has its future, which still tells, and the
// dependent that owns the edge. A future made by hand may go at any time, so a walk
// does not look at it.
// Threads: any; one walk at a time.
#pragma once

#include "futures/detail/dependencies.hpp"

#include "future/pool_thread.hpp"
#include "os/fork_lock.hpp"

#include <cstddef>
#include <cstdint>
#include <mutex>
#include <vector>

namespace futures::detail {

/// What is asked on a walk. True ends it.
class DependencyVisitor {
public:
    DependencyVisitor() = default;
    DependencyVisitor(const DependencyVisitor&) = delete;
    DependencyVisitor& operator=(const DependencyVisitor&) = delete;

    /// A future, which may have ended by now; `edge` leads there, null at the first.
    virtual bool visit(StateBase& /*state*/, Edge* /*edge*/) { return false; }

    /// What makes a future that is not done.
    virtual bool enter(Dependencies& /*dependent*/) { return false; }

    /// An open edge to a future made by hand.
    virtual bool visit_hand_made() { return false; }

    /// Whether to go on to what it depends on.
    virtual bool goes_into(const Dependencies& /*dependent*/) { return true; }

protected:
    ~DependencyVisitor() = default;
};

/// While it lives nothing that it has seen is told or destroyed. Takes no lock but its
/// own.
class DependencyWalk {
public:
    DependencyWalk();
    ~DependencyWalk();
    DependencyWalk(const DependencyWalk&) = delete;
    DependencyWalk& operator=(const DependencyWalk&) = delete;

    /// Visits `state`, which lives, and what it depends on, in order, each dependent
    /// once. True when the visitor has ended it.
    bool visit(StateBase& state, DependencyVisitor& visitor);

    /// What `state`, which the walk has or which lives, depends on; null: nothing, or
    /// nobody knows (any more).
    Dependencies* of(StateBase& state) noexcept;

    /// Of a dependent: one that was not told of its end. Null: it was made by hand.
    struct Open {
        Edge* edge = nullptr;
        StateBase* state = nullptr;
    };

    /// The same for a dependent that lives, in place of its future.
    bool visit(Dependencies& dependent, DependencyVisitor& visitor);

    /// The next one from `at` on. False: there is none.
    bool next(Dependencies& dependent, std::size_t& at, Open& open) noexcept;

    /// It has seen so much that it is to end.
    bool is_long() const noexcept { return steps_ >= most_steps; }

    /// For the visitor, of a future that is done and was not told yet to what depends
    /// on it: tell() is to be called after the walk. Null: another thread tells it.
    static StateBase* take(Edge& edge) noexcept;
    /// What depends on it goes on in this thread.
    static void tell(Edge& edge, StateBase& state);

private:
    /// A walk takes a few milliseconds at most.
    static constexpr std::size_t most_steps = 100'000;

    struct Place {
        Dependencies* dependent;
        std::size_t at;
    };

    bool enter(StateBase& state, DependencyVisitor& visitor);
    bool enter(Dependencies& dependent, DependencyVisitor& visitor);
    bool go(DependencyVisitor& visitor);

    std::unique_lock<mp::os::ForkLock> lock_;
    std::uint64_t number_;
    std::size_t steps_ = 0;
    std::vector<Place> places_;
    std::vector<DependsOn*> held_;
    std::vector<Edge*> edges_;
};

/// Runs what waits for its turn in this thread, if something that this thread is to
/// wait for depends on it. True: it ran something.
bool run_own_ready(const Wait& wait);

/// Throws DeadlockError when this thread, which is to wait for `state`, makes the very
/// value that it depends on.
void check_not_made_here(StateBase& state);

}  // namespace futures::detail
