// SPDX-License-Identifier: BSL-1.0
// Waiting in the parent: who looks at the rings, and who is to be woken for a result.
// `parent_sleeper` is 0 only while some thread of the parent is awake and will register
// and look again before it sleeps or leaves.
#include "mp/errors.hpp"

#include "future/pool_thread.hpp"
#include "future/thread_duties.hpp"
#include "os/fence.hpp"
#include "process_pool/board.hpp"

#include <thread>

namespace futures::detail {

using mp::detail::everybody;
using mp::detail::FutexScope;

namespace {

/// How long a thread sleeps at most that waits for a worker's wake-up.
constexpr std::chrono::seconds recheck{1};

/// The board whose manager this thread is.
thread_local const Board* managed_board = nullptr;

}  // namespace

void Board::stay_awake() noexcept {
    awake_.fetch_add(1);
    auto& parent_sleeper = view_.header().parent_sleeper;
    // order: a worker that still sees the old value wakes somebody who is awake.
    if (parent_sleeper.load(std::memory_order_relaxed) != 0) {
        parent_sleeper.store(0, std::memory_order_relaxed);
    }
}

void Board::enlist() noexcept {
    const auto who = leading_.load() ? Sleeper::client : Sleeper::manager;
    view_.header().parent_sleeper.store(
        generation_.fetch_add(1) << 2U | static_cast<std::uint64_t>(who)
    );
    // order: pairs with the fence in BoardWorker::commit: it wrote a result, then looks
    // at parent_sleeper; we stored parent_sleeper, then look at the rings.
    mp::os::full_fence();
}

void Board::leave() noexcept {
    if (awake_.fetch_sub(1) != 1) {
        return;  // somebody else still looks
    }
    enlist();
    while (any_result()) {
        if (try_drain() == 0) {
            std::this_thread::yield();
        }
    }
}

bool Board::enlist_manager() noexcept {
    if (awake_.load() > 0) {
        return true;  // a client looks, and registers us when it leaves
    }
    enlist();
    return !any_result();
}

void Board::manager_woke() noexcept {
    auto& parent_sleeper = view_.header().parent_sleeper;
    std::uint64_t seen = parent_sleeper.load();
    if ((seen & 3U) == static_cast<std::uint64_t>(Sleeper::manager)) {
        parent_sleeper.compare_exchange_strong(seen, 0);
    }
}

bool Board::help(BoardTask& task, const mp::Deadline& deadline) {
    if (task.is_finished()) {
        return true;
    }
    if (!creator_.is_here()) {
        throw mp::StateError(
            "this future belongs to a pool of another process, which alone gets its "
            "result: a forked child cannot wait for it"
        );
    }
    if (managed_here()) {
        wait_in_manager(task, deadline);
        return task.is_finished();
    }
    if (ThreadDuties::of_this_thread() != nullptr) {
        return false;  // it goes on with them, in case the task needs that
    }
    stay_awake();
    const bool found = spin(task);
    leave();
    if (found || task.is_finished()) {
        return true;
    }
    // In a thread of a thread pool: it counts as blocked.
    const WaitElsewhere wait(task.future_state(), deadline);
    const Blocked blocked(PoolThread::of_this_thread(), wait);
    bool nobody = false;
    if (leading_.compare_exchange_strong(nobody, true)) {
        lead(task, deadline);
    }
    return task.is_finished();
}

bool Board::spin(BoardTask& task) noexcept {
    thread_local mp::detail::SpinHistory history;
    mp::detail::Search search(history, options_.policy);
    const auto for_us = [&] {
        constexpr std::size_t plenty = 8;
        // It was our own workers that used the time.
        return try_drain() >= plenty || task.is_finished();
    };
    do {
        try_drain();
        if (task.is_finished()) {
            search.found();
            return true;
        }
    } while (search.again(for_us));
    return task.is_finished();
}

void Board::lead(BoardTask& task, const mp::Deadline& deadline) noexcept {
    auto& wakes = view_.header().client_wakes;
    leader_task_.store(&task);
    // order: pairs with conclude(): it finishes the task, then looks who leads.
    mp::os::full_fence();
    stay_awake();
    for (;;) {
        const std::uint32_t seen = wakes.load();
        leave();
        if (task.is_finished() || deadline.expired()) {
            break;
        }
        // Now and then it looks again: this word, too, may be written over, and then a
        // wake-up can be missed.
        futex_wait(wakes, seen, deadline.sooner(recheck), FutexScope::shared);
        stay_awake();
        try_drain();
    }
    leader_task_.store(nullptr);
    leading_.store(false);
    // The registration goes back to the manager: enlist() and a last look.
    stay_awake();
    leave();
}

void Board::set_manager(Turn turn) {
    managed_board = this;
    turn_ = std::move(turn);
}

bool Board::managed_here() const noexcept {
    return managed_board == this;
}

/// A callback waits for a future of its own pool. Its thread is the manager, so it goes
/// on with the manager's work meanwhile.
void Board::wait_in_manager(BoardTask& task, const mp::Deadline& deadline) {
    // Also when a callback in a turn ends the thread.
    // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
    const struct Restore {
        std::atomic<BoardTask*>& place;
        BoardTask* outer;

        ~Restore() { place.store(outer); }
    } restore{manager_task_, manager_task_.exchange(&task)};
    // order: pairs with kick_waiter_for(), as in lead().
    mp::os::full_fence();
    while (!task.is_finished() && !deadline.expired()) {
        turn_(deadline);
    }
}

void Board::kick_waiter_for(const BoardTask* task) noexcept {
    // order: pairs with lead() and wait_in_manager(): the task is finished, now we look
    // who waits; they say that they wait, then look whether it is finished.
    mp::os::full_fence();
    if (leader_task_.load(std::memory_order_relaxed) == task) {
        kick_leader();
    }
    if (manager_task_.load(std::memory_order_relaxed) == task) {
        doorbell_.ring();
    }
}

void Board::kick_leader() noexcept {
    auto& wakes = view_.header().client_wakes;
    wakes.fetch_add(1);
    futex_wake(wakes, everybody, FutexScope::shared);
}

}  // namespace futures::detail
