// SPDX-License-Identifier: BSL-1.0
// Queue: items from any processes to any processes, first in, first out.
// Python:  multiprocessing.Queue; shutdown() is that of Python's queue.Queue (3.13).
// Differs: put() writes into shared memory itself, there is no feeder thread: what
//          cannot be serialised throws in put(), qsize() is exact, join_thread() has
//          nothing to do. A process that is killed loses the item it was putting or
//          getting at most, and nobody waits for it.
// Threads: any, on one handle, too.
// Processes: a copy of the handle in a child (forked, or an argument of one that is
//          started) is the same queue. Elsewhere it does not travel: StateError.
// Owns:    shared memory without a name, an eventfd.
// Read next: docs/concepts/queue.md, docs/protocols/queue.md
#pragma once

#include "mp/detail/decoding.hpp"
#include "mp/detail/queue_handle.hpp"

namespace mp {

struct QueueShutdownOptions {
    /// Drop what is in the queue: get() throws at once.
    bool immediate = false;
};

template <class T>
class Queue : public detail::QueueHandle<T> {
public:
    /// Throws ResourceLimitExceeded, std::system_error.
    explicit Queue(std::int64_t maxsize = 0) : Queue(QueueOptions{.maxsize = maxsize}) {
        static_cast<void>(detail::accepts<detail::refusal_of_archived<T>(), T>());
    }

    explicit Queue(const QueueOptions& options) : Queue(options, false) {
        static_cast<void>(detail::accepts<detail::refusal_of_archived<T>(), T>());
    }

    explicit Queue(detail::Decoding) noexcept {}

    /// Blocks while the queue is full. Throws Full at the timeout, ShutDown,
    /// SerializationError, std::invalid_argument when closed or when the item could
    /// never fit, ResourceLimitExceeded when memory is short; then the queue is as
    /// before.
    void put(const T& item, Timeout timeout = forever) {
        this->put_object(item, timeout);
    }

    /// Throws Full when there is no room now.
    void put_nowait(const T& item) { this->put_object(item, std::chrono::seconds(0)); }

    /// Blocks while there is nothing. Throws Empty at the timeout, ShutDown when there
    /// is nothing and will be nothing, std::invalid_argument when closed,
    /// SerializationError: that item is gone then, the next one is whole.
    T get(Timeout timeout = forever) { return this->get_object(timeout); }

    /// Throws Empty when there is nothing now.
    T get_nowait() { return this->get_object(std::chrono::seconds(0)); }

    /// For all processes: put() throws ShutDown from now on, get() when the queue is
    /// empty. Threads that wait are woken.
    void shutdown(QueueShutdownOptions options = {}) {
        this->core().shutdown(options.immediate);
    }

    /// Nothing to wait for: what was put is in the queue already. Python's, for ported
    /// programs. Throws StateError before close().
    void join_thread() const {
        if (!this->closed()) {
            throw StateError("join_thread() comes after close()");
        }
    }

    /// Nothing to cancel.
    void cancel_join_thread() const noexcept {}

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        this->travel(archive, "a Queue");
    }

protected:
    Queue(const QueueOptions& options, bool joinable)
        : detail::QueueHandle<T>(options, joinable) {}
};

}  // namespace mp
