// SPDX-License-Identifier: BSL-1.0
// Dependencies: what waits for futures and then goes on: an edge for each of them, and
// one decision, made once: all are done, or one has failed, or it is not wanted any
// more.
// Python:  none; what dask, ray and taskflow have.
// Differs: nothing to differ from.
// Threads: made by one; told by any.
// Owns:    what it calls. Of the futures it holds those that are done and whose value it
//          wants: one that no handle is left of is known never to be done.
#pragma once

#include "futures/detail/recycle.hpp"
#include "futures/detail/state.hpp"
#include "futures/detail/state_ptr.hpp"
#include "futures/detail/watcher.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <memory>
#include <utility>

namespace futures::detail {

class Dependencies;

/// One future that a dependent waits for.
class Edge final : public Watcher {
public:
    Edge() noexcept : Watcher(Kind::edge) {}

    void told(StateBase& state) override;
    void given_up() noexcept override;

    /// What told() changes besides.
    const void* counters() const noexcept;

private:
    friend class Dependencies;
    friend class DependencyWalk;

    enum class Phase : std::uint8_t {
        apart,      ///< in no list: not yet, or it was done before
        hooked,     ///< in the list of its future
        looked_at,  ///< the same, and to stay so until a walk is over
        leaving,    ///< being taken out, because it is not wanted any more
        over,       ///< no thread touches the future through it
    };

    bool end() noexcept;

    bool keeps() const noexcept { return kind() == Kind::keeping_edge; }

    std::atomic<Phase> phase_{Phase::apart};
    bool hand_made_ = false;
    std::atomic<bool> counted_{false};  // `state_` is kept
    Dependencies* owner_ = nullptr;
    StateBase* state_ = nullptr;
};

/// Why a dependent cannot go on.
struct Obstacle {
    enum class Kind : std::uint8_t { failed, cancelled, given_up };

    Kind kind = Kind::failed;
    std::exception_ptr cause = {};  ///< of a failed one
};

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class Dependencies : public Recycled {
public:
    /// What is enough to go on.
    enum class Needs : std::uint8_t {
        values,    ///< all are done, none has failed or was cancelled
        outcomes,  ///< all are done, none was cancelled
        ends,      ///< all are done, however
        first,     ///< one is done, however
    };

    Dependencies(const Dependencies&) = delete;
    Dependencies& operator=(const Dependencies&) = delete;

    void keep() noexcept {
        // order: relaxed, because the caller already has a reference.
        references_.fetch_add(1, std::memory_order_relaxed);
    }

    void drop() noexcept {
        // order: acq_rel, so that deleting it comes after all that others did.
        if (references_.fetch_sub(1, std::memory_order_acq_rel) == 1) {
            delete this;
        }
    }

    /// Before watch(): the next one that it waits for. The value is wanted: then it is
    /// kept from its end on.
    void add(StateBase& state, bool wants_value) noexcept {
        Edge& edge = edges_[added_++];
        edge.owner_ = this;
        edge.state_ = &state;
        edge.set_kind(wants_value ? Watcher::Kind::keeping_edge : Watcher::Kind::edge);
        edge.set_at_once(at_once_);
        edge.hand_made_ = !state.is_owned();
    }

    /// The same for one of which this has a handle.
    void add_own(StateBase& state) noexcept {
        Edge& edge = edges_[added_];
        add(state, false);
        if (edge.hand_made_) {
            state.lend();
            edge.set_has_handle(true);
        }
    }

    /// Begins to wait. Requires: all were added, and live until this returns. What
    /// follows may come at once, in this thread.
    void watch();

    /// What is waiting is not wanted any more. False when that is decided already.
    bool leave() noexcept;

    /// The future of an edge whose value was wanted, once all are done: one reference
    /// to it.
    StateBase& take(std::size_t number) noexcept {
        edges_[number].counted_ = false;
        return *edges_[number].state_;
    }

    /// The same, for a look.
    StateBase& state(std::size_t number) const noexcept {
        return *edges_[number].state_;
    }

    std::size_t size() const noexcept { return added_; }

    /// A task of a pool; else what then() and the like make.
    bool is_task() const noexcept { return at_once_; }

    /// It does not go on before all are done, if they end well.
    bool needs_each() const noexcept { return needs_ != Needs::first || added_ == 1; }

protected:
    /// `at_once`: go_on() runs no code of the program that may wait, so that it need
    /// not wait for its turn.
    Dependencies(std::size_t count, Needs needs, bool at_once)
        : edges_(count != 0 ? new Edge[count] : nullptr),
          needs_(needs),
          at_once_(at_once) {}

    virtual ~Dependencies();

    /// Once, at most one of these, outside any lock, in the thread that decided it.
    virtual void go_on() = 0;
    virtual void stop(Obstacle obstacle) = 0;
    virtual void left() noexcept = 0;

    /// The right to do what follows a decision that is made elsewhere.
    bool decide() noexcept { return !decided_.exchange(true); }

    /// Takes the edges out of the lists of futures that are not done.
    void unhook() noexcept;

    /// Lets the futures go whose values were wanted and not taken.
    void forget_values() noexcept;

    /// Needs::first: which one it was.
    std::size_t first() const noexcept { return first_; }

private:
    friend class Edge;
    friend class Ready;
    friend class DependencyWalk;

    void ended(Edge& edge, StateBase& state);
    void gave_up();
    void ready();
    void run();

    std::unique_ptr<Edge[]> edges_;
    std::size_t added_ = 0;
    std::size_t first_ = 0;
    StatePtr<StateBase> failed_;    // the one that decided
    Dependencies* next_ = nullptr;  // in Ready
    // Used by one walk at a time.
    std::uint64_t seen_ = 0;  // the last one that saw it
    std::size_t open_ = 0;    // before it all edges are over
    // Written by the thread whose Ready it is in.
    std::atomic<const void*> ready_in_{nullptr};
    // Own synchronisation.
    std::atomic<std::size_t> left_{1};
    std::atomic<std::uint32_t> references_{1};
    std::atomic<bool> decided_{false};
    std::atomic<bool> hooked_{false};  // watch() is over
    const Needs needs_;
    const bool at_once_;
    bool going_on_ = false;
};

inline const void* Edge::counters() const noexcept {
    return &owner_->left_;
}

/// A reference to some of these.
template <class D>
// NOLINTNEXTLINE(*-special-member-functions): its assignment is not needed
class DependenciesPtr {
public:
    /// Takes over a reference.
    explicit DependenciesPtr(D* dependencies) noexcept : dependencies_(dependencies) {}

    DependenciesPtr(const DependenciesPtr& other) noexcept
        : dependencies_(other.dependencies_) {
        if (dependencies_ != nullptr) {
            dependencies_->keep();
        }
    }

    DependenciesPtr(DependenciesPtr&& other) noexcept
        : dependencies_(std::exchange(other.dependencies_, nullptr)) {}

    DependenciesPtr& operator=(DependenciesPtr other) noexcept {
        std::swap(dependencies_, other.dependencies_);
        return *this;
    }

    ~DependenciesPtr() {
        if (dependencies_ != nullptr) {
            dependencies_->drop();
        }
    }

    D* get() const noexcept { return dependencies_; }

    D* operator->() const noexcept { return dependencies_; }

    D& operator*() const noexcept { return *dependencies_; }

private:
    D* dependencies_;
};

/// What the future that it belongs to depends on, for those who look. One reference.
class DependsOn {
public:
    DependsOn() = default;
    DependsOn(const DependsOn&) = delete;
    DependsOn& operator=(const DependsOn&) = delete;

    ~DependsOn() { clear(); }

    /// Requires: it is clear.
    void set(Dependencies& on) noexcept {
        on.keep();
        // order: release pairs with hold(), so that what it has is visible.
        word_.store(reinterpret_cast<std::uintptr_t>(&on), std::memory_order_release);
    }

    /// Nobody looks at it through this any more. Waits for a walk that does.
    void clear() noexcept {
        // order: relaxed, this thread has set it or was told by the one that has.
        if (word_.load(std::memory_order_relaxed) != 0) {
            clear_when_free();
        }
    }

    /// For the one that clears it.
    Dependencies* get() const noexcept {
        // order: relaxed, as above.
        return of(word_.load(std::memory_order_relaxed));
    }

private:
    friend class DependencyWalk;

    static Dependencies* of(std::uintptr_t word) noexcept {
        return reinterpret_cast<Dependencies*>(word & ~held_bit);
    }

    /// `first` is false when the walk, which is the only one, has it already.
    Dependencies* hold(bool& first) noexcept;
    void let_go() noexcept;
    void clear_when_free() noexcept;

    static constexpr std::uintptr_t held_bit = 1;

    std::atomic<std::uintptr_t> word_{0};
};

/// What the future of something gets that was stopped by a failure: DependencyError
/// with the first cause nested.
std::exception_ptr dependency_error(const Obstacle& obstacle);

/// Requires: an exception is being handled. Throws it as what dependency_error() makes.
[[noreturn]] void throw_dependency_error();

}  // namespace futures::detail
