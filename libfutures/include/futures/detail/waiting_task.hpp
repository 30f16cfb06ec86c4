// SPDX-License-Identifier: BSL-1.0
// WaitingTask, WaitingRoom: the tasks of a pool that were submitted and wait for
// futures.
// Python:  none.
// Differs: nothing to differ from.
// Threads: any.
#pragma once

#include "futures/after.hpp"
#include "futures/detail/dependencies.hpp"
#include "mp/detail/creator.hpp"
#include "mp/thread_safety.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <exception>
#include <functional>
#include <utility>
#include <vector>

namespace futures::detail {

class WaitingRoom;

// NOLINTNEXTLINE(cppcoreguidelines-virtual-class-destructor): it deletes itself
class WaitingTask : public Dependencies {
public:
    /// Fails its future, unless it waits no more: its pool gives it up.
    void fail(std::exception_ptr exception);

    /// Cancels its future, unless it waits no more.
    void cancel();

    /// The pool did not take it: it never waited. No watch() follows.
    void abandon() noexcept { decide(); }

    /// Before watch().
    void add_after(const After& after) noexcept {
        for (std::size_t i = 0; i < after.size(); ++i) {
            add(after[i], false);
        }
    }

protected:
    explicit WaitingTask(std::size_t count)
        : Dependencies(count, Needs::values, true) {}

    /// Once, at most one of these, go_on() and left(): ends the future, if nobody has
    /// cancelled it, and leaves the room.
    virtual void fail_future(std::exception_ptr exception) = 0;
    virtual void cancel_future() = 0;

    void stop(Obstacle obstacle) final;

private:
    friend class WaitingRoom;

    // Guarded by the room's mutex.
    WaitingTask* room_next_ = nullptr;
    WaitingTask* room_previous_ = nullptr;
};

/// Those of one pool. The pool does not end before it is empty.
class WaitingRoom {
public:
    /// `emptied` is called when the last one leaves after close().
    explicit WaitingRoom(std::function<void()> emptied)
        : emptied_(std::move(emptied)) {}

    WaitingRoom(const WaitingRoom&) = delete;
    WaitingRoom& operator=(const WaitingRoom&) = delete;

    /// False after close().
    bool add(WaitingTask& task) noexcept;

    /// It was handed to the pool's queue, if `begun`, or has ended otherwise. Once
    /// each.
    void remove(WaitingTask& task, bool begun) noexcept;

    /// No more come in.
    void close() noexcept;

    /// They do again.
    void open() noexcept;

    void cancel_all();
    /// Each gets an exception of its own.
    void fail_all(const std::function<std::exception_ptr()>& make);

    bool empty() const noexcept { return size_.load() == 0; }

    std::uint64_t size() const noexcept { return size_.load(); }

    /// How many have ended without being handed on.
    std::uint64_t ended() const noexcept { return ended_.load(); }

    /// Says in the log that `who` waits for tasks which wait for futures made by hand.
    void warn_of_hand_made(const char* who) const noexcept;

private:
    std::vector<DependenciesPtr<WaitingTask>> all() const;

    const std::function<void()> emptied_;
    const mp::detail::Creator creator_;
    // Own synchronisation.
    std::atomic<std::uint64_t> size_{0};
    std::atomic<std::uint64_t> ended_{0};

    mutable mp::detail::Mutex mutex_;
    WaitingTask* first_ MP_GUARDED_BY(mutex_) = nullptr;
    bool closed_ MP_GUARDED_BY(mutex_) = false;
};

}  // namespace futures::detail
