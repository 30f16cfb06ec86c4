// SPDX-License-Identifier: BSL-1.0
// JoinableQueue: a Queue that knows when all that was put has been dealt with.
// Python:  multiprocessing.JoinableQueue.
// Differs: items of a consumer that dies before task_done() do not keep join() waiting:
//          they count as finished, and one join() throws OwnerDied.
// Threads: any, on one handle, too.  Processes: as Queue.  Owns: as Queue.
#pragma once

#include "mp/queue.hpp"

namespace mp {

template <class T>
class JoinableQueue : public detail::QueueHandle<T> {
public:
    explicit JoinableQueue(std::int64_t maxsize = 0)
        : JoinableQueue(QueueOptions{.maxsize = maxsize}) {}

    explicit JoinableQueue(const QueueOptions& options)
        : detail::QueueHandle<T>(options, true) {}

    explicit JoinableQueue(detail::Blank) noexcept {}

    /// As Queue's.
    void put(const T& item, Timeout timeout = forever) {
        this->put_object(item, timeout);
    }

    void put_nowait(const T& item) { this->put_object(item, std::chrono::seconds(0)); }

    T get(Timeout timeout = forever) { return this->get_object(timeout); }

    T get_nowait() { return this->get_object(std::chrono::seconds(0)); }

    void shutdown(QueueShutdownOptions options = {}) {
        this->core().shutdown(options.immediate);
    }

    void join_thread() const {
        if (!this->closed()) {
            throw StateError("join_thread() comes after close()");
        }
    }

    void cancel_join_thread() const noexcept {}

    /// One item that was got is dealt with. Throws std::invalid_argument when called
    /// more often than items were put.
    void task_done() { this->core().task_done(); }

    /// Blocks until all items that were put are dealt with; false at the timeout.
    /// Throws OwnerDied, once, when a process died that had taken some.
    bool join(Timeout timeout = forever) {
        return this->core().join(Deadline(timeout));
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        this->travel(archive, "a JoinableQueue");
    }
};

}  // namespace mp
