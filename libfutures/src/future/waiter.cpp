// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/waiter.hpp"

#include "future/dependency_walk.hpp"
#include "future/pool_thread.hpp"
#include "future/ready.hpp"
#include "future/thread_duties.hpp"
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
        --left_;
    }
}

bool Waiter::watch(StateBase& state, std::size_t number) {
    return watch(state, number, false);
}

bool Waiter::watch_until_done(StateBase& state, std::size_t number) {
    // Cancelled before it was watched, it tells nobody of that.
    return watch(state, number, true) && !state.done();
}

bool Waiter::watch(StateBase& state, std::size_t number, bool hears_cancel) {
    Node& node = nodes_.emplace_back(*this, state, number, hears_cancel);
    if (!state.add_waiter(node)) {
        nodes_.pop_back();
        return false;
    }
    ++left_;
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
    // Seen, it lives: its thread cannot leave next() before it has taken the list lock
    // that we hold.
    if (ThreadDuties* const duties = waiter_.duties_.load()) {
        duties->ring();
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

/// The futures that are left, for the graph of waits.
class Waiter::WaitForFirst final : public Wait {
public:
    WaitForFirst(Waiter& waiter, const mp::Deadline& deadline) noexcept
        : Wait(deadline), waiter_(waiter) {
        std::size_t& first = waiter_.first_;
        while (first < waiter_.nodes_.size() && waiter_.nodes_[first].state_ == nullptr
        ) {
            ++first;
        }
    }

    std::size_t size() const noexcept override {
        return waiter_.nodes_.size() - waiter_.first_;
    }

    StateBase* future(std::size_t i) const noexcept override {
        return waiter_.nodes_[waiter_.first_ + i].state_;
    }

private:
    Waiter& waiter_;
};

/// Runs the last one that is left. Of several, the first to end may be what the thread
/// needs to go on.
bool Waiter::run_last(PoolThread& thread, const mp::Deadline& deadline) {
    const WaitForFirst wait(*this, deadline);
    if (left_ > 1) {
        return thread.run_one_of(wait);
    }
    for (std::size_t i = 0; left_ == 1 && i < wait.size(); ++i) {
        if (StateBase* const state = wait.future(i)) {
            return thread.run_awaited(*state);
        }
    }
    return false;
}

std::size_t Waiter::next(const mp::Deadline& deadline) {
    if (const auto number = take(); number != none || deadline.expired()) {
        return number;
    }
    while (Ready::any_here() && run_own_ready(WaitForFirst(*this, deadline))) {
        if (const auto number = take(); number != none) {
            return number;
        }
    }
    if (ThreadDuties* const duties = ThreadDuties::of_this_thread()) {
        return next_in_turns(*duties, deadline);
    }
    const auto some = [this] {
        // order: relaxed, a hint; take() looks again.
        return latest_.load(std::memory_order_relaxed) != nullptr;
    };
    PoolThread* const thread = PoolThread::of_this_thread();
    do {
        mp::detail::spin([&] { return some() || deadline.expired(); });
        if (const auto number = take(); number != none || deadline.expired()) {
            return number;
        }
        // A wait with a deadline must end in time, which a task need not.
    } while (thread != nullptr && deadline.is_forever() && run_last(*thread, deadline));
    return sleep_as(thread, deadline);
}

std::size_t Waiter::sleep_as(PoolThread* thread, const mp::Deadline& deadline) {
    {
        const WaitForFirst wait(*this, deadline);
        const Blocked blocked(thread, wait);
        while (ended_ == nullptr && latest_.load() == nullptr && !deadline.expired()) {
            sleeps_.store(1);
            if (latest_.load() == nullptr) {
                mp::detail::futex_wait(
                    sleeps_, 1, deadline, mp::detail::FutexScope::process
                );
            }
            sleeps_.store(0);
        }
    }
    return take();
}

/// In a callback of a process pool, whose manager this thread is: the futures may need
/// what the manager does. Throws what turn() throws.
std::size_t Waiter::next_in_turns(ThreadDuties& duties, const mp::Deadline& deadline) {
    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    const struct Rung {
        std::atomic<ThreadDuties*>& by;

        ~Rung() { by.store(nullptr); }
    } rung{duties_};
    // Sequentially consistent with told(), as sleeps_ is.
    duties_.store(&duties);
    std::size_t number = take();
    while (number == none && !deadline.expired()) {
        duties.turn(deadline);
        number = take();
    }
    return number;
}

/// A thread with duties goes on with them: what it waits for may depend on them, in
/// ways that nobody sees from here.
bool StateBase::wait_until_done(const mp::Deadline& deadline) {
    if (ThreadDuties::of_this_thread() == nullptr) {
        return sleep_until(false, deadline);
    }
    Waiter waiter;
    if (waiter.watch_until_done(*this, 0)) {
        waiter.next(deadline);
    }
    return done();
}

bool StateBase::wait_until_told(const mp::Deadline& deadline) {
    if (!wait(deadline)) {
        return false;
    }
    if (ThreadDuties::of_this_thread() == nullptr) {
        return sleep_until(true, deadline);
    }
    Waiter waiter;
    if (waiter.watch(*this, 0)) {
        waiter.next(deadline);
    }
    return told();
}

}  // namespace futures::detail
