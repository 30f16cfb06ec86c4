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
class JoinableQueue : public Queue<T> {
public:
    /// For so many items at a time; 0 is no limit. Throws as Queue.
    explicit JoinableQueue(std::int64_t maxsize = 0)
        : JoinableQueue(QueueOptions{.maxsize = maxsize}) {
        static_cast<void>(detail::accepts<detail::refusal_of_archived<T>(), T>());
    }

    /// With options, as Queue.
    explicit JoinableQueue(const QueueOptions& options) : Queue<T>(options, true) {
        static_cast<void>(detail::accepts<detail::refusal_of_archived<T>(), T>());
    }

    explicit JoinableQueue(detail::Decoding decoding) noexcept : Queue<T>(decoding) {}

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
