// SPDX-License-Identifier: BSL-1.0
// PriorityQueue: a queue between tasks that gives what is most urgent first.
// Python:  lionpride.libs.concurrency.PriorityQueue; asyncio.PriorityQueue.
// Differs: an item has its priority beside it, and is never compared itself. The calls
//          that do not wait are plain functions. It cannot stall: room, or an item, is
//          given to the task that has waited for it longest.
// Threads: its loop's; the calls that do not wait also where its executor runs
//          something else, and anywhere while no task waits in it.
// Owns:    the items in it.
// Throws:  QueueFull, QueueEmpty, which are WouldBlock; RuntimeError, when a task of
//          another loop waits in it.
// Read next: concurrency/detail/hand_over.hpp
#pragma once

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/buffer_size.hpp"
#include "concurrency/detail/hand_over.hpp"
#include "concurrency/errors.hpp"

#include <cstddef>
#include <functional>
#include <map>
#include <utility>

namespace concurrency {

/// What a PriorityQueue looks like at a moment.
struct PriorityQueueStatistics {
    /// Items in it.
    std::size_t current_buffer_used;
    /// How many there may be; inf for any number.
    double max_buffer_size;
    /// Tasks that wait in put(), and in get().
    std::size_t tasks_waiting_send;
    std::size_t tasks_waiting_receive;  ///< as above
};

/// The least priority comes first, as Compare orders them; of equal ones, what was put
/// in first. When it is destroyed while tasks wait in it, those get
/// ClosedResourceError.
template <class T, class Priority = double, class Compare = std::less<Priority>>
class PriorityQueue {
public:
    /// Holds so many items, or any number for 0, the default, and inf. Throws
    /// ValueError for a negative number.
    explicit PriorityQueue(BufferSize maxsize = 0, Compare compare = Compare())
        : max_(maxsize.items() == 0 ? BufferSize::unlimited : maxsize.items()),
          items_(std::move(compare)) {}

    PriorityQueue(const PriorityQueue&) = delete;
    PriorityQueue& operator=(const PriorityQueue&) = delete;

    ~PriorityQueue() {
        finish_all(putters_);
        finish_all(getters_);
    }

    /// Adds the item, or hands it to the task that has waited longest in get(); waits
    /// while the queue is full. A task that is cancelled while it waits takes its item
    /// back; one whose item has gone in has put it. What the comparison throws when it
    /// goes in comes out of here. Throws Cancelled, before it does anything.
    // As in MemoryObjectSendStream::send(): an aggregate gets a name first with g++ 12.
    Task<> put(Priority priority, T item) {
        detail::LoopTask& task = detail::this_task();
        task.check_cancelled();
        check_loop(&task);
        PutWait wait(task, make_node(std::move(priority), std::move(item)));
        if (enter(wait.node)) {
            detail::Passed passed(task);
            co_await passed;
        } else {
            putters_.push_back(wait);
            co_await wait;
            wait.check();
        }
    }

    /// The same if it need not wait; else throws QueueFull, and the item is as it was.
    void put_nowait(Priority priority, T&& item) {
        put_now(std::move(priority), std::move(item));
    }

    void put_nowait(Priority priority, const T& item) {
        put_now(std::move(priority), item);
    }

    /// Takes out the first item, with its priority; waits until there is one. Who has
    /// waited longest gets the next. A task that is cancelled while it waits gets none;
    /// one that got an item returns it, cancelled or not. Throws Cancelled, before it
    /// takes anything.
    Task<std::pair<Priority, T>> get() {
        detail::LoopTask& task = detail::this_task();
        task.check_cancelled();
        check_loop(&task);
        GetWait wait(task);
        if (take(wait.node)) {
            detail::Passed passed(task);
            co_await passed;
        } else {
            getters_.push_back(wait);
            co_await wait;
            wait.check();
        }
        co_return content(wait.node);
    }

    /// As get() if it need not wait; else throws QueueEmpty.
    std::pair<Priority, T> get_nowait() {
        check_loop(detail::running_task());
        Node node;
        if (!take(node)) {
            throw QueueEmpty();
        }
        return content(node);
    }

    /// How many items may be in it; 0 for any number.
    std::size_t maxsize() const noexcept {
        return max_ == BufferSize::unlimited ? 0 : max_;
    }

    /// How many items are in it.
    std::size_t qsize() const noexcept { return items_.size(); }

    /// Whether none is.
    bool empty() const noexcept { return items_.empty(); }

    /// Whether it holds as many items as it may.
    bool full() const noexcept { return items_.size() >= max_; }

    /// What is in it, and who waits.
    PriorityQueueStatistics statistics() const noexcept {
        return {
            items_.size(), BufferSize(max_).number(), putters_.size(), getters_.size()};
    }

private:
    // A node holds an item from when it is put to when it is got: nothing is moved or
    // allocated when it changes hands. Equal keys lie in the order in which they came.
    using Items = std::multimap<Priority, T, Compare>;
    using Node = typename Items::node_type;

    class PutWait final : public detail::HandOver {
    public:
        PutWait(detail::LoopTask& task, Node item) noexcept
            : HandOver(task, "PriorityQueue.put"), node(std::move(item)) {}

        Node node;
    };

    class GetWait final : public detail::HandOver {
    public:
        explicit GetWait(detail::LoopTask& task) noexcept
            : HandOver(task, "PriorityQueue.get") {}

        Node node;
    };

    template <class Item>
    Node make_node(Priority&& priority, Item&& item) const {
        Items made(items_.key_comp());
        made.emplace(std::move(priority), std::forward<Item>(item));
        return made.extract(made.begin());
    }

    static std::pair<Priority, T> content(Node& node) {
        return {std::move(node.key()), std::move(node.mapped())};
    }

    template <class Item>
    void put_now(Priority&& priority, Item&& item) {
        check_loop(detail::running_task());
        if (full()) {
            throw QueueFull();
        }
        Node node = make_node(std::move(priority), std::forward<Item>(item));
        enter(node);
    }

    /// False when the queue is full. Tasks wait to get only while it is empty.
    bool enter(Node& node) {
        if (detail::Waiter* first = getters_.first()) {
            auto& wait = static_cast<GetWait&>(*first);
            wait.node = std::move(node);
            wait.finish(detail::Passage::done);
            return true;
        }
        if (full()) {
            return false;
        }
        items_.insert(std::move(node));
        return true;
    }

    /// False when the queue is empty. Tasks wait to put only while it is full.
    bool take(Node& into) {
        if (items_.empty()) {
            return false;
        }
        into = items_.extract(items_.begin());
        while (!full() && !putters_.empty()) {
            auto& wait = static_cast<PutWait&>(putters_.front());
            try {
                items_.insert(std::move(wait.node));
            } catch (...) {
                wait.fail();
                continue;
            }
            wait.finish(detail::Passage::done);
        }
        return true;
    }

    void check_loop(const detail::LoopTask* here) {
        detail::Waiter* first = putters_.first();
        detail::check_same_loop(first != nullptr ? first : getters_.first(), here);
    }

    static void finish_all(detail::List<detail::Waiter>& queue) noexcept {
        while (!queue.empty()) {
            static_cast<detail::HandOver&>(queue.front())
                .finish(detail::Passage::closed);
        }
    }

    const std::size_t max_;
    Items items_;
    detail::List<detail::Waiter> putters_;
    detail::List<detail::Waiter> getters_;
};

}  // namespace concurrency
