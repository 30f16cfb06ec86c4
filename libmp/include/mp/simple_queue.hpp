// SPDX-License-Identifier: BSL-1.0
// SimpleQueue: the least a queue can be.
// Python:  multiprocessing.SimpleQueue.
// Differs: get() may have a timeout. What Queue differs in, except that it has no
//          bound.
// Threads: any, on one handle, too.
// Processes: as Queue.
// Owns:    as Queue.
#pragma once

#include "mp/detail/decoding.hpp"
#include "mp/detail/queue_handle.hpp"

#include <stdexcept>

namespace mp {

template <class T>
class SimpleQueue : public detail::QueueHandle<T> {
public:
    SimpleQueue() : detail::QueueHandle<T>(QueueOptions{}, false) {
        static_cast<void>(detail::accepts<detail::refusal_of_archived<T>(), T>());
    }

    explicit SimpleQueue(detail::Decoding) noexcept {}

    /// Throws std::invalid_argument when closed.
    bool empty() const {
        if (this->closed()) {
            throw std::invalid_argument("the queue is closed");
        }
        return detail::QueueHandle<T>::empty();
    }

    /// Blocks only if max_bytes are in the queue. Throws as Queue::put().
    void put(const T& item) { this->put_object(item, forever); }

    /// Blocks while there is nothing. Throws as Queue::get().
    T get(Timeout timeout = forever) { return this->get_object(timeout); }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        this->travel(archive, "a SimpleQueue");
    }
};

}  // namespace mp
