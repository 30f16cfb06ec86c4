// SPDX-License-Identifier: BSL-1.0
// Watcher: something to be told of a future's end: a callback, or the node of a wait().
// Python:  an entry of Future._done_callbacks or Future._waiters.
// Differs: one list holds both kinds, and a watcher is its own list node.
// Threads: any; its links are guarded by the list lock of the future's state.
#pragma once

namespace futures::detail {

class StateBase;

class Watcher {
public:
    explicit Watcher(bool is_callback) noexcept : is_callback_(is_callback) {}

    Watcher(const Watcher&) = delete;
    Watcher& operator=(const Watcher&) = delete;
    virtual ~Watcher() = default;

    /// A callback is told outside any lock, by the thread that concludes the future. A
    /// waiter is told under the state's list lock and may only set flags and wake.
    /// A callback may end its thread (pthread_exit); nothing else leaves it.
    virtual void told(StateBase& state) = 0;

private:
    friend class StateBase;

    const bool is_callback_;
    Watcher* next_ = nullptr;  // null: in no list
    Watcher* prev_ = nullptr;
};

}  // namespace futures::detail
