// SPDX-License-Identifier: BSL-1.0
// Completions: a task that waits for the next of many futures.
// Python:  none; asyncio.as_completed has a queue.
// Differs: nothing to differ from.
// Threads: its loop's.
// Read next: src/concurrency/bridges/completions.cpp
#pragma once

#include "futures/detail/state.hpp"
#include "futures/detail/watcher.hpp"

#include "concurrency/coroutine.hpp"
#include "concurrency/detail/letter.hpp"
#include "concurrency/detail/waiter.hpp"

#include <cstddef>
#include <deque>
#include <memory>
#include <vector>

namespace concurrency::detail {

/// Destroyed, it leaves the futures that are not done as they are.
class Completions {
public:
    static constexpr std::size_t none = static_cast<std::size_t>(-1);

    Completions() = default;
    Completions(const Completions&) = delete;
    Completions& operator=(const Completions&) = delete;
    ~Completions();

    /// Before the first next(): one more future, which outlives this. They are counted
    /// from 0.
    void add(futures::detail::StateBase& state) { states_.push_back(&state); }

    /// Waits for one that next() has not given yet, those first that are done first;
    /// `none` when there are no more. Throws Cancelled, and then has taken none;
    /// BusyResourceError while another task is in it, and RuntimeError in another loop
    /// than before.
    Task<std::size_t> next();

    /// So many next() has not given yet.
    std::size_t left() const noexcept { return states_.size() - given_; }

private:
    class Node final : public futures::detail::Watcher, public Letter {
    public:
        Node(Completions& all, std::size_t number) noexcept;
        Node(const Node&) = delete;
        Node& operator=(const Node&) = delete;
        ~Node();

        void watch();

    private:
        void told(futures::detail::StateBase& state) noexcept override;
        void arrive(Loop& loop) noexcept override;

        void come_back() noexcept override {}

        void leave() noexcept;

        Completions& all_;
        const std::size_t number_;
        bool is_watching_ = false;
    };

    class NextWaiter;

    void begin(Loop& loop);
    void ended(std::size_t number) noexcept;

    std::vector<futures::detail::StateBase*> states_;
    std::vector<std::size_t> done_;  // before they were asked for; has room for all
    std::size_t first_done_ = 0;     // of these, that has not been given
    std::size_t given_ = 0;
    bool has_begun_ = false;
    NextWaiter* waiter_ = nullptr;
    std::shared_ptr<Mailbox> mailbox_;  // of the loop in which it was begun
    std::deque<Node> nodes_;            // last: they leave the futures first
};

}  // namespace concurrency::detail
