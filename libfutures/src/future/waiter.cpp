// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/waiter.hpp"

#include "os/spin.hpp"

namespace futures::detail {

Waiter::~Waiter() {
    for (Node& node : nodes_) {
        leave(node);
    }
}

/// After this no thread touches the node or the waiter on behalf of its future: a
/// thread that tells holds the future's list lock, and this takes it.
void Waiter::leave(Node& node) noexcept {
    if (node.state_ != nullptr) {
        node.state_->remove_waiter(node);
        node.state_ = nullptr;
    }
}

bool Waiter::watch(StateBase& state, std::size_t number) {
    Node& node = nodes_.emplace_back(*this, state, number);
    if (!state.add_waiter(node)) {
        nodes_.pop_back();
        return false;
    }
    return true;
}

void Waiter::Node::told(StateBase& /*state*/) noexcept {
    // order: relaxed load, the exchange decides.
    next_ended_ = waiter_.latest_.load(std::memory_order_relaxed);
    // Sequentially consistent with next(): it says that it sleeps, then looks again;
    // this adds a node, then looks for sleepers.
    while (!waiter_.latest_.compare_exchange_weak(next_ended_, this)) {
    }
    if (waiter_.sleeps_.load() != 0 && waiter_.sleeps_.exchange(0) != 0) {
        mp::detail::futex_wake(waiter_.sleeps_, 1, mp::detail::FutexScope::process);
    }
}

/// The number of a node that ended, or `none`.
std::size_t Waiter::take() {
    if (ended_ == nullptr) {
        // order: acquire pairs with told(), so that the nodes are visible.
        Node* at = latest_.exchange(nullptr, std::memory_order_acquire);
        while (at != nullptr) {
            Node* const before = at->next_ended_;
            at->next_ended_ = ended_;
            ended_ = at;
            at = before;
        }
        if (ended_ == nullptr) {
            return none;
        }
    }
    Node& node = *ended_;
    ended_ = node.next_ended_;
    leave(node);
    return node.number_;
}

std::size_t Waiter::next(const mp::Deadline& deadline) {
    if (const auto number = take(); number != none || deadline.expired()) {
        return number;
    }
    const auto some = [this] {
        // order: relaxed, a hint; take() looks again.
        return latest_.load(std::memory_order_relaxed) != nullptr;
    };
    mp::detail::spin([&] { return some() || deadline.expired(); });
    for (;;) {
        if (const auto number = take(); number != none || deadline.expired()) {
            return number;
        }
        sleeps_.store(1);
        if (latest_.load() == nullptr) {
            mp::detail::futex_wait(
                sleeps_, 1, deadline, mp::detail::FutexScope::process
            );
        }
        sleeps_.store(0);
    }
}

}  // namespace futures::detail
