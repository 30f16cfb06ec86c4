// SPDX-License-Identifier: BSL-1.0
// List: a doubly linked list whose links lie in its members, so that entering and
// leaving allocate nothing. What is destroyed has left its list.
// Python:  none, because a deque does there.
// Differs: nothing to differ from.
// Threads: one at a time.
#pragma once

#include <cstddef>
#include <utility>

namespace concurrency::detail {

/// A place in a list. A class that is to be in several derives from a link of its own
/// for each.
class Link {
public:
    Link() noexcept = default;
    Link(const Link&) = delete;
    Link& operator=(const Link&) = delete;

    bool linked() const noexcept { return next_ != nullptr; }

    /// Leaves its list, if it is in one.
    void unlink() noexcept {
        if (next_ != nullptr) {
            previous_->next_ = next_;
            next_->previous_ = previous_;
            next_ = previous_ = nullptr;
        }
    }

protected:
    ~Link() { unlink(); }

private:
    template <class T>
    friend class List;

    Link* previous_ = nullptr;
    Link* next_ = nullptr;
};

/// T derives from Link, and from no other Link than through classes in between.
template <class T>
class List {
public:
    List() noexcept { make_empty(); }

    List(const List&) = delete;
    List& operator=(const List&) = delete;

    ~List() {
        while (!empty()) {
            pop_front();
        }
    }

    bool empty() const noexcept { return head_.next_ == &head_; }

    /// Requires: `item` is in no list.
    void push_back(T& item) noexcept { insert(head_, item); }

    /// Requires: `item` is in no list.
    void push_front(T& item) noexcept { insert(*head_.next_, item); }

    /// Requires: it is not empty.
    T& front() noexcept { return *static_cast<T*>(head_.next_); }

    /// Requires: it is not empty.
    T& back() noexcept { return *static_cast<T*>(head_.previous_); }

    /// Requires: it is not empty.
    T& pop_front() noexcept {
        T& first = front();
        static_cast<Link&>(first).unlink();
        return first;
    }

    /// The first one, or null.
    T* first() noexcept { return empty() ? nullptr : &front(); }

    /// What follows `item`, or null at the end.
    T* after(T& item) noexcept {
        Link* next = static_cast<Link&>(item).next_;
        return next == &head_ ? nullptr : static_cast<T*>(next);
    }

    /// Counts them.
    std::size_t size() const noexcept {
        std::size_t count = 0;
        for (const Link* link = head_.next_; link != &head_; link = link->next_) {
            ++count;
        }
        return count;
    }

    /// Takes all that is in `other`, behind what is here.
    void take(List& other) noexcept {
        if (other.empty()) {
            return;
        }
        Link* first = other.head_.next_;
        Link* last = other.head_.previous_;
        other.make_empty();
        first->previous_ = head_.previous_;
        head_.previous_->next_ = first;
        last->next_ = &head_;
        head_.previous_ = last;
    }

private:
    struct Head : Link {
        ~Head() = default;
    };

    void make_empty() noexcept { head_.next_ = head_.previous_ = &head_; }

    static void insert(Link& before, Link& link) noexcept {
        link.previous_ = before.previous_;
        link.next_ = &before;
        before.previous_->next_ = &link;
        before.previous_ = &link;
    }

    Head head_;
};

}  // namespace concurrency::detail
