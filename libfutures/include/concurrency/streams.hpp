// SPDX-License-Identifier: BSL-1.0
// create_memory_object_stream: a stream of objects from task to task, with ends that
// can be cloned and closed.
// Python:  anyio.create_memory_object_stream, MemoryObjectSendStream and
//          MemoryObjectReceiveStream, MemoryObjectStreamStatistics.
// Differs: an end that is closed wakes the tasks that wait in it (trio), with
//          ClosedResourceError. next() does for `async for`. A destructor closes.
// Threads: its loop's; the calls that do not wait also where its executor runs
//          something else, and anywhere while no task waits in it.
// Owns:    the buffered items, all ends together.
// Throws:  WouldBlock, ClosedResourceError, BrokenResourceError, EndOfStream;
//          RuntimeError, when a task of another loop waits in the stream.
// Read next: concurrency/detail/channel.hpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/buffer_size.hpp"
#include "concurrency/detail/channel.hpp"
#include "concurrency/detail/closed.hpp"
#include "concurrency/errors.hpp"

#include <cstddef>
#include <memory>
#include <optional>
#include <utility>

namespace concurrency {

/// What a memory object stream looks like at a moment.
struct MemoryObjectStreamStatistics {
    /// Items in the buffer.
    std::size_t current_buffer_used;
    /// How many there may be; inf for any number.
    double max_buffer_size;
    /// The most that there have been at a time.
    std::size_t max_buffer_used;
    /// Ends of each kind that are not closed.
    std::size_t open_send_streams;
    std::size_t open_receive_streams;  ///< as above
    /// Tasks that wait to send, and to receive.
    std::size_t tasks_waiting_send;
    std::size_t tasks_waiting_receive;  ///< as above
};

namespace detail {

template <class T>
MemoryObjectStreamStatistics statistics_of(const Channel<T>& channel) noexcept {
    return {
        channel.used(),
        BufferSize(channel.max_size()).number(),
        channel.most_used(),
        channel.send_ends(),
        channel.receive_ends(),
        channel.senders(),
        channel.receivers()};
}

/// What users have of an end, without what is done with it.
template <class T, class End>
class StreamHandle {
public:
    StreamHandle(StreamHandle&&) noexcept = default;
    StreamHandle& operator=(StreamHandle&&) noexcept = default;

    /// Closes the end: its calls throw ClosedResourceError from now on, and so do those
    /// that wait in it. Closing the last sending end gives all who wait to receive
    /// EndOfStream; closing the last receiving end gives all who wait to send
    /// BrokenResourceError, and drops what is in the buffer. Calling it again does
    /// nothing. Throws RuntimeError when a task of another loop waits in the stream.
    void close() {
        check_loop();
        close_as(Passage::closed);
    }

    /// close() by the name that AnyIO has for it where it is awaited.
    Closed aclose() {
        close();
        return {};
    }

    /// Throws ClosedResourceError when the end was moved away.
    MemoryObjectStreamStatistics statistics() const {
        return statistics_of(*end().channel());
    }

protected:
    explicit StreamHandle(std::unique_ptr<End> end) noexcept : end_(std::move(end)) {}

    ~StreamHandle() = default;

    End& end() const {
        if (end_ == nullptr) {
            throw ClosedResourceError("the end of the stream was moved away");
        }
        return *end_;
    }

    std::unique_ptr<End> open_another() const {
        if (end().closed()) {
            throw ClosedResourceError();
        }
        return std::make_unique<End>(end_->channel());
    }

    void check_loop() const {
        if (end_ != nullptr) {
            end_->channel()->check_loop(running_task());
        }
    }

    /// Tasks that wait in it end like `own`.
    void close_as(Passage own) noexcept {
        if (end_ != nullptr) {
            end_->close(own);
        }
    }

private:
    std::unique_ptr<End> end_;
};

}  // namespace detail

template <class T>
class Queue;

/// An end of a memory object stream that takes items. It can be moved, also while tasks
/// wait in it; its destructor closes it.
template <class T>
class MemoryObjectSendStream : public detail::StreamHandle<T, detail::SendEnd<T>> {
public:
    /// Hands the item to the task that has waited longest to receive, or puts it into
    /// the buffer; waits while that is full. A task that is cancelled while it waits
    /// takes its item back; one whose item was taken has sent it. What the item's move
    /// to its place throws comes out of here. Throws Cancelled, before it does
    /// anything; ClosedResourceError when this end is closed, before or while it waits;
    /// BrokenResourceError when all receiving ends are. The end has to be there when
    /// the Task begins to run, no longer.
    // g++ 12 destroys an aggregate twice that is made in a co_await expression, as
    // send(Job{1, "name"}) does: it has to get a name first, and std::move.
    Task<> send(T item) {
        return detail::send_to<T>(
            this->end(), std::move(item), "MemoryObjectSendStream.send"
        );
    }

    /// The same if it need not wait; else throws WouldBlock, and the item is as it was.
    void send_nowait(T&& item) { send_now(std::move(item)); }

    void send_nowait(const T& item) { send_now(item); }

    /// Another open end of the same stream. Throws ClosedResourceError when this one is
    /// closed.
    MemoryObjectSendStream clone() const {
        return MemoryObjectSendStream(this->open_another());
    }

    // -- For the library.

    explicit MemoryObjectSendStream(std::unique_ptr<detail::SendEnd<T>> end) noexcept
        : detail::StreamHandle<T, detail::SendEnd<T>>(std::move(end)) {}

private:
    friend class Queue<T>;

    template <class Item>
    void send_now(Item&& item) {
        const detail::Passage passage =
            this->end().send(std::forward<Item>(item), detail::running_task());
        if (passage != detail::Passage::done) {
            detail::throw_passage(passage);
        }
    }
};

/// An end of a memory object stream that gives items. It can be moved, also while tasks
/// wait in it; its destructor closes it.
template <class T>
class MemoryObjectReceiveStream
    : public detail::StreamHandle<T, detail::ReceiveEnd<T>> {
public:
    /// The oldest item; waits until there is one. Who has waited longest gets the next.
    /// A task that is cancelled while it waits gets none; one that got an item returns
    /// it, cancelled or not. Throws Cancelled, before it takes anything;
    /// ClosedResourceError when this end is closed, before or while it waits;
    /// EndOfStream when all sending ends are and nothing is left. The end has to be
    /// there when the Task begins to run, no longer.
    Task<T> receive() {
        return detail::receive_from<T>(
            this->end(), "MemoryObjectReceiveStream.receive"
        );
    }

    /// The same, empty at the end of the stream: while (auto item = co_await s.next()).
    /// Python: `async for item in stream`.
    Task<std::optional<T>> next() {
        return detail::receive_from<std::optional<T>>(
            this->end(), "MemoryObjectReceiveStream.next"
        );
    }

    /// As receive() if it need not wait; else throws WouldBlock.
    T receive_nowait() {
        std::optional<T> item;
        const detail::Passage passage =
            this->end().receive(item, detail::running_task());
        if (passage != detail::Passage::done) {
            detail::throw_passage(passage);
        }
        return std::move(*item);
    }

    /// Another open end of the same stream: an item goes to one of them. Throws
    /// ClosedResourceError when this one is closed.
    MemoryObjectReceiveStream clone() const {
        return MemoryObjectReceiveStream(this->open_another());
    }

    // -- For the library.

    explicit MemoryObjectReceiveStream(std::unique_ptr<detail::ReceiveEnd<T>> end
    ) noexcept
        : detail::StreamHandle<T, detail::ReceiveEnd<T>>(std::move(end)) {}

private:
    friend class Queue<T>;
};

/// A stream from its first end to its second one, whose buffer holds so many items:
/// inf, or a number. With 0 each item goes from the task that sends it to the one that
/// receives it, and both wait for one another. Throws ValueError for a negative size.
template <class T>
std::pair<MemoryObjectSendStream<T>, MemoryObjectReceiveStream<T>>
create_memory_object_stream(BufferSize max_buffer_size = 0) {
    const auto channel = std::make_shared<detail::Channel<T>>(max_buffer_size.items());
    return {
        MemoryObjectSendStream<T>(std::make_unique<detail::SendEnd<T>>(channel)),
        MemoryObjectReceiveStream<T>(std::make_unique<detail::ReceiveEnd<T>>(channel))};
}

}  // namespace concurrency
