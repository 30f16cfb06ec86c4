// SPDX-License-Identifier: BSL-1.0
// Watcher: something to be told of a future's end: a callback, the node of a wait(), or
//          what depends on it.
// Python:  an entry of Future._done_callbacks or Future._waiters.
// Differs: one list holds both kinds, and a watcher is its own list node.
// Threads: any; its links are guarded by the list lock of the future's state.
#pragma once

#include <cstdint>

namespace futures::detail {

class StateBase;

class Watcher {
public:
    enum class Kind : std::uint8_t {
        waiter,        ///< of a thread that waits; whoever waits owns it
        callback,      ///< of the program; the list owns it
        edge,          ///< of a dependent, which owns it (dependencies.hpp)
        keeping_edge,  ///< the same, and it is given a reference to the state
    };

    explicit Watcher(bool is_callback) noexcept
        : Watcher(is_callback ? Kind::callback : Kind::waiter) {}

    explicit Watcher(Kind kind) noexcept : kind_(kind) {}

    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    virtual ~Watcher() = default;

    /// A callback is told outside any lock, by the thread that concludes the future. A
    /// waiter is told under the state's list lock and may only set flags and wake.
    /// A callback may end its thread (pthread_exit); nothing else leaves it. An edge is
    /// told as a callback is; if it keeps the state, it gets a reference for itself.
    virtual void told(StateBase& state) = 0;

    /// The last handle is gone of a future that is not done: it never will be.
    virtual void given_up() noexcept { delete this; }

protected:
    void set_kind(Kind kind) noexcept { kind_ = kind; }

    /// A waiter that is told of cancel(), too, before the executor knows of it.
    void set_hears_cancel(bool hears_cancel) noexcept { hears_cancel_ = hears_cancel; }

    Kind kind() const noexcept { return kind_; }

    /// An edge: to tell it of a value runs no code of the program that may wait.
    void set_at_once(bool at_once) noexcept { at_once_ = at_once; }

    /// An edge of what has a handle of the future that it waits for: that one does not
    /// count as a handle by which somebody could complete it.
    void set_has_handle(bool has_handle) noexcept { has_handle_ = has_handle; }

private:
    friend class StateBase;

    Watcher* next_ = nullptr;  // null: in no list
    Watcher* prev_ = nullptr;  // not of the first one
    Kind kind_;
    bool at_once_ = false;
    bool has_handle_ = false;
    bool hears_cancel_ = false;
};

}  // namespace futures::detail
