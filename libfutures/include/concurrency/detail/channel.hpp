// SPDX-License-Identifier: BSL-1.0
// Channel: what all ends of a memory object stream share, and those ends.
// Python:  anyio's MemoryObjectStreamState.
// Differs: a closed end wakes what waits in it, as trio's does.
// Threads: its loop's.
// Read next: src/concurrency/queues/channel.cpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/hand_over.hpp"
#include "concurrency/detail/intrusive_list.hpp"

#include <algorithm>
#include <cstddef>
#include <deque>
#include <memory>
#include <optional>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

class EndLink : public Link {};

/// A task that waits in a channel has two places: in its queue, and among those that
/// wait in the same end.
class ChannelWait : public HandOver, public EndLink {
public:
    using HandOver::HandOver;

    bool abort() noexcept override {
        EndLink::unlink();
        return HandOver::abort();
    }

    void finish(Passage how) noexcept {
        EndLink::unlink();
        HandOver::finish(how);
    }

    void fail() noexcept {
        EndLink::unlink();
        HandOver::fail();
    }

protected:
    ~ChannelWait() = default;
};

template <class T>
class SendWait final : public ChannelWait {
public:
    SendWait(LoopTask& task, T& item, const char* what) noexcept
        : ChannelWait(task, what), item_(&item) {}

    T& item() const noexcept { return *item_; }

private:
    T* item_;  // in the coroutine's frame, until it is taken
};

template <class T>
class ReceiveWait final : public ChannelWait {
public:
    ReceiveWait(LoopTask& task, std::optional<T>& item, const char* what) noexcept
        : ChannelWait(task, what), item_(&item) {}

    std::optional<T>& item() const noexcept { return *item_; }

private:
    std::optional<T>* item_;  // in the coroutine's frame
};

/// What does not depend on the items. Tasks wait to receive only while nothing is
/// buffered, and to send only while the buffer is full.
class ChannelBase {
public:
    explicit ChannelBase(std::size_t max_size) noexcept : max_size_(max_size) {}

    ChannelBase(const ChannelBase&) = delete;
    ChannelBase& operator=(const ChannelBase&) = delete;

    std::size_t max_size() const noexcept { return max_size_; }

    std::size_t most_used() const noexcept { return most_used_; }

    std::size_t senders() const noexcept { return senders_.size(); }

    std::size_t receivers() const noexcept { return receivers_.size(); }

    std::size_t send_ends() const noexcept { return send_ends_; }

    std::size_t receive_ends() const noexcept { return receive_ends_; }

    void check_loop(const LoopTask* here) {
        Waiter* first = senders_.first();
        check_same_loop(first != nullptr ? first : receivers_.first(), here);
    }

protected:
    ~ChannelBase() = default;

    friend class SendEndBase;
    friend class ReceiveEndBase;

    const std::size_t max_size_;  // all bits set for infinite
    std::size_t most_used_ = 0;
    std::size_t send_ends_ = 0;
    std::size_t receive_ends_ = 0;
    List<Waiter> senders_;
    List<Waiter> receivers_;
};

template <class T>
class Channel final : public ChannelBase {
public:
    static_assert(
        std::is_object_v<T> && std::is_move_constructible_v<T>,
        "items are values that can be moved"
    );

    using ChannelBase::ChannelBase;

    std::size_t used() const noexcept { return is_dropped_ ? 0 : items_.size(); }

    /// Moves or copies the item to whom or where it goes; it stays as it is when it
    /// goes nowhere. Throws what its constructor throws, and nothing has changed then.
    template <class Item>
    Passage send(Item&& item, const LoopTask* here) {
        if (receive_ends_ == 0) {
            return Passage::broken;
        }
        if (Waiter* first = receivers_.first()) {
            check_same_loop(first, here);
            auto& wait = static_cast<ReceiveWait<T>&>(*first);
            wait.item().emplace(std::forward<Item>(item));
            wait.finish(Passage::done);
            return Passage::done;
        }
        if (max_size_ == 0 || items_.size() >= max_size_) {
            check_same_loop(senders_.first(), here);
            return Passage::waits;
        }
        items_.push_back(std::forward<Item>(item));
        most_used_ = std::max(most_used_, items_.size());
        return Passage::done;
    }

    /// Moves the first item to `into`, which is empty. Throws what the move of one from
    /// the buffer throws; it stays the first one then. What the move of a waiting
    /// sender's item throws is that sender's.
    Passage receive(std::optional<T>& into, const LoopTask* here) {
        check_same_loop(senders_.first(), here);
        if (!items_.empty()) {
            into.emplace(std::move(items_.front()));
            items_.pop_front();
            let_senders_in();
            return Passage::done;
        }
        while (Waiter* first = senders_.first()) {
            auto& wait = static_cast<SendWait<T>&>(*first);
            try {
                into.emplace(std::move(wait.item()));
            } catch (...) {
                wait.fail();
                continue;
            }
            wait.finish(Passage::done);
            return Passage::done;
        }
        check_same_loop(receivers_.first(), here);
        return send_ends_ == 0 ? Passage::ended : Passage::waits;
    }

    /// Nobody will receive them. The caller keeps the channel, whatever they do.
    void drop_items() noexcept {
        is_dropped_ = true;  // their destructors find the channel as it will be
        items_.clear();
    }

private:
    void let_senders_in() noexcept {
        while (items_.size() < max_size_ && !senders_.empty()) {
            auto& wait = static_cast<SendWait<T>&>(senders_.front());
            try {
                items_.push_back(std::move(wait.item()));
            } catch (...) {
                wait.fail();
                continue;
            }
            most_used_ = std::max(most_used_, items_.size());
            wait.finish(Passage::done);
        }
    }

    std::deque<T> items_;
    bool is_dropped_ = false;
};

/// What ends of both kinds are: open until they are closed, and waited in.
class EndBase {
public:
    EndBase() noexcept = default;
    EndBase(const EndBase&) = delete;
    EndBase& operator=(const EndBase&) = delete;

    bool closed() const noexcept { return closed_; }

protected:
    ~EndBase() = default;

    void park(ChannelWait& wait, List<Waiter>& queue) noexcept {
        queue.push_back(wait);
        waits_.push_back(wait);
    }

    /// False when it was closed before.
    bool shut(Passage own) noexcept;

private:
    bool closed_ = false;
    List<EndLink> waits_;
};

class SendEndBase : public EndBase {
protected:
    static void open(ChannelBase& channel) noexcept { ++channel.send_ends_; }

    void park_in(ChannelBase& channel, ChannelWait& wait) noexcept {
        park(wait, channel.senders_);
    }

    void close_in(ChannelBase& channel, Passage own) noexcept;
};

class ReceiveEndBase : public EndBase {
protected:
    static void open(ChannelBase& channel) noexcept { ++channel.receive_ends_; }

    void park_in(ChannelBase& channel, ChannelWait& wait) noexcept {
        park(wait, channel.receivers_);
    }

    /// True if it was the last one.
    bool close_in(ChannelBase& channel, Passage own) noexcept;
};

/// One sending end. Its address stays while the object that users have is moved about.
template <class T>
class SendEnd final : public SendEndBase {
public:
    explicit SendEnd(std::shared_ptr<Channel<T>> channel) noexcept
        : channel_(std::move(channel)) {
        open(*channel_);
    }

    ~SendEnd() { close(Passage::closed); }

    const std::shared_ptr<Channel<T>>& channel() const noexcept { return channel_; }

    template <class Item>
    Passage send(Item&& item, const LoopTask* here) {
        return closed() ? Passage::closed
                        : channel_->send(std::forward<Item>(item), here);
    }

    void park(ChannelWait& wait) noexcept { park_in(*channel_, wait); }

    /// Tasks that wait in this end end like `own`.
    void close(Passage own) noexcept { close_in(*channel_, own); }

private:
    std::shared_ptr<Channel<T>> channel_;
};

/// One receiving end, likewise.
template <class T>
class ReceiveEnd final : public ReceiveEndBase {
public:
    explicit ReceiveEnd(std::shared_ptr<Channel<T>> channel) noexcept
        : channel_(std::move(channel)) {
        open(*channel_);
    }

    ~ReceiveEnd() { close(Passage::closed); }

    const std::shared_ptr<Channel<T>>& channel() const noexcept { return channel_; }

    Passage receive(std::optional<T>& into, const LoopTask* here) {
        return closed() ? Passage::closed : channel_->receive(into, here);
    }

    void park(ChannelWait& wait) noexcept { park_in(*channel_, wait); }

    void close(Passage own) noexcept {
        // What an item's destructor does may be the end of this end.
        const std::shared_ptr<Channel<T>> channel = channel_;
        if (close_in(*channel, own)) {
            channel->drop_items();
        }
    }

private:
    std::shared_ptr<Channel<T>> channel_;
};

// The coroutines look at the end before they wait, and not after: it may be gone then.
// `what` is the call that waits, for people.

template <class T>
Task<> send_to(SendEnd<T>& end, T item, const char* what) {
    LoopTask& task = this_task();
    task.check_cancelled();
    const Passage passage = end.send(std::move(item), &task);
    if (passage == Passage::waits) {
        SendWait<T> wait(task, item, what);
        end.park(wait);
        co_await wait;
        wait.check();
    } else if (passage == Passage::done) {
        Passed passed(task);
        co_await passed;
    } else {
        throw_passage(passage);
    }
}

/// Result is T, or std::optional<T>, which is empty at the end of the stream.
template <class Result, class T>
Task<Result> receive_from(ReceiveEnd<T>& end, const char* what) {
    LoopTask& task = this_task();
    task.check_cancelled();
    constexpr bool end_is_empty = !std::is_same_v<Result, T>;
    std::optional<T> item;
    const Passage passage = end.receive(item, &task);
    if (passage == Passage::waits) {
        ReceiveWait<T> wait(task, item, what);
        end.park(wait);
        co_await wait;
        if (!end_is_empty || wait.passage != Passage::ended) {
            wait.check();
        }
    } else if (passage == Passage::done) {
        Passed passed(task);
        co_await passed;
    } else if (!end_is_empty || passage != Passage::ended) {
        throw_passage(passage);
    }
    if constexpr (end_is_empty) {
        co_return std::move(item);
    } else {
        co_return std::move(*item);
    }
}

}  // namespace concurrency::detail
