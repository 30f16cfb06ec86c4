// SPDX-License-Identifier: BSL-1.0
// Queue: a queue between tasks, first in, first out.
// Python:  lionpride.libs.concurrency.Queue; asyncio.Queue.
// Differs: close() is a plain function, and the destructor calls it. Not to be confused
//          with mp::Queue, which is between processes.
// Threads: its loop's; the calls that do not wait also where its executor runs
//          something else, and anywhere while no task waits in it.
// Owns:    the items in it.
// Throws:  WouldBlock, ClosedResourceError, BrokenResourceError, EndOfStream;
//          RuntimeError, when a task of another loop waits in it.
// Read next: concurrency/streams.hpp
#pragma once

#include "concurrency/detail/closed.hpp"
#include "concurrency/streams.hpp"

#include <cstddef>
#include <utility>

namespace concurrency {

/// What a Queue looks like at a moment: its stream does.
using QueueStatistics = MemoryObjectStreamStatistics;

/// A memory object stream with both its ends. It can be moved, also while tasks wait in
/// it.
template <class T>
class Queue {
public:
    /// Holds so many items: inf, or a number. With 0 it is a rendezvous: put() returns
    /// when get() has the item. Throws ValueError for a negative size.
    explicit Queue(BufferSize max_size)
        : Queue(create_memory_object_stream<T>(max_size)) {}

    /// One that holds so many items.
    static Queue with_maxsize(BufferSize max_size) { return Queue(max_size); }

    Queue(Queue&&) noexcept = default;

    Queue& operator=(Queue&& other) noexcept {
        if (this != &other) {
            close_both();
            sender_ = std::move(other.sender_);
            receiver_ = std::move(other.receiver_);
        }
        return *this;
    }

    ~Queue() { close_both(); }

    /// Hands the item to the task that has waited longest in get(), or adds it at the
    /// end; waits while the queue is full. A task that is cancelled while it waits
    /// takes its item back; one whose item was taken has put it. What the item's move
    /// to its place throws comes out of here. Throws Cancelled, before it does
    /// anything; ClosedResourceError after close(); BrokenResourceError when the queue
    /// is closed while it waits. The queue has to be there when the Task begins to run,
    /// no longer.
    // As in MemoryObjectSendStream::send(): an aggregate gets a name first with g++ 12.
    Task<> put(T item) {
        return detail::send_to<T>(sender_.end(), std::move(item), "Queue.put");
    }

    /// The same if it need not wait; else throws WouldBlock, and the item is as it was.
    void put_nowait(T&& item) { sender_.send_nowait(std::move(item)); }

    void put_nowait(const T& item) { sender_.send_nowait(item); }

    /// The first item; waits until there is one. Who has waited longest gets the next.
    /// A task that is cancelled while it waits gets none; one that got an item returns
    /// it, cancelled or not. Throws Cancelled, before it takes anything;
    /// ClosedResourceError after close(); EndOfStream when the queue is closed while it
    /// waits, or the queue is empty and its sender is closed. The queue has to be there
    /// when the Task begins to run, no longer.
    Task<T> get() { return detail::receive_from<T>(receiver_.end(), "Queue.get"); }

    /// As get() if it need not wait; else throws WouldBlock.
    T get_nowait() { return receiver_.receive_nowait(); }

    /// Closes both ends and drops what is in the queue. Tasks that wait in get() get
    /// EndOfStream, those in put() BrokenResourceError, and later calls
    /// ClosedResourceError. Calling it again does nothing. To have everything got that
    /// is in it, close only the sender(). Clones of its ends stay open. Throws
    /// RuntimeError when a task of another loop waits in it.
    /// There is nothing to wait for: `co_await queue.close()` does the same.
    detail::Closed close() {
        sender_.check_loop();
        close_both();
        return {};
    }

    /// How many items are in it.
    std::size_t qsize() const { return statistics().current_buffer_used; }

    /// Whether none is.
    bool empty() const { return qsize() == 0; }

    /// Whether it holds as many items as it may: always, when that is none.
    bool full() const {
        const QueueStatistics now = statistics();
        return static_cast<double>(now.current_buffer_used) >= now.max_buffer_size;
    }

    /// What is in it, and who waits.
    QueueStatistics statistics() const { return sender_.statistics(); }

    /// The end by which put() sends: can be cloned, and closed on its own.
    MemoryObjectSendStream<T>& sender() noexcept { return sender_; }

    /// The end by which get() receives.
    MemoryObjectReceiveStream<T>& receiver() noexcept { return receiver_; }

private:
    explicit Queue(
        std::pair<MemoryObjectSendStream<T>, MemoryObjectReceiveStream<T>> ends
    )
        : sender_(std::move(ends.first)), receiver_(std::move(ends.second)) {}

    void close_both() noexcept {
        sender_.close_as(detail::Passage::broken);
        receiver_.close_as(detail::Passage::ended);
    }

    MemoryObjectSendStream<T> sender_;
    MemoryObjectReceiveStream<T> receiver_;
};

}  // namespace concurrency
