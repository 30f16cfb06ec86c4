// SPDX-License-Identifier: BSL-1.0
// The list of a future: its waiters, callbacks and edges
// (docs/protocols/future_state.md).
#include "futures/detail/state.hpp"
#include "mp/detail/forced_unwind.hpp"

#include "future/ready.hpp"

#include <sched.h>

namespace futures::detail {

StateBase::Word StateBase::lock_list() noexcept {
    for (;;) {
        // order: relaxed load, the exchange decides.
        auto word = word_.load(std::memory_order_relaxed);
        // order: acquire pairs with unlock_list(), so that the list is visible, and
        // with conclude(), so that the value is.
        if ((word & lock_bit) == 0 &&
            word_.compare_exchange_weak(
                word, word | lock_bit, std::memory_order_acquire
            )) {
            return word;
        }
        if ((word & lock_bit) != 0) {
            sched_yield();  // held for a few instructions, unless it was preempted
        }
    }
}

void StateBase::unlock_list(Word set) noexcept {
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed);
    // order: release pairs with lock_list(), so that the list is visible.
    while (!word_.compare_exchange_weak(
        word,
        (word & ~lock_bit) | set,
        std::memory_order_release,
        std::memory_order_relaxed
    )) {
    }
}

// A ring by next_; prev_ leads back, but not from the first one. So the first is taken
// out, and one more appended, without a touch of any other but the last: in a large
// graph each one that is touched is a miss of the cache. Waiters come first.

void StateBase::append(Watcher& watcher) noexcept {
    watcher.next_ = &watcher;
    if (Watcher* const last = last_watcher()) {
        watcher.next_ = last->next_;
        watcher.prev_ = last;
        last->next_ = &watcher;
    }
    set_last_watcher(&watcher);
}

void StateBase::prepend(Watcher& watcher) noexcept {
    Watcher* const last = last_watcher();
    if (last == nullptr) {
        append(watcher);
        return;
    }
    watcher.next_ = last->next_;
    watcher.next_->prev_ = &watcher;
    last->next_ = &watcher;
}

void StateBase::unlink(Watcher& watcher) noexcept {
    Watcher* const last = last_watcher();
    Watcher* const next = watcher.next_;
    if (next == &watcher) {
        set_last_watcher(nullptr);
    } else if (last->next_ == &watcher) {
        last->next_ = next;
    } else {
        watcher.prev_->next_ = next;
        if (last == &watcher) {
            set_last_watcher(watcher.prev_);
        } else {
            next->prev_ = watcher.prev_;
        }
    }
    watcher.next_ = watcher.prev_ = nullptr;
}

Watcher* StateBase::first_watcher() const noexcept {
    Watcher* const last = last_watcher();
    return last != nullptr ? last->next_ : nullptr;
}

/// Behind an unlink(): what the next two will touch.
void StateBase::fetch_watchers() const noexcept {
    if (const Watcher* const first = first_watcher()) {
        __builtin_prefetch(first->next_);
        if (first->kind_ >= Watcher::Kind::edge) {
            __builtin_prefetch(static_cast<const Edge*>(first)->counters());
        }
    }
}

bool StateBase::add_waiter(Watcher& waiter) {
    const Word word = lock_list();
    if (is_told(word)) {
        unlock_list(0);
        return false;
    }
    prepend(waiter);
    unlock_list(watched_bit);
    if ((word & watched_bit) == 0) {
        watched();
    }
    return true;
}

void StateBase::remove_waiter(Watcher& waiter) noexcept {
    lock_list();
    if (waiter.next_ != nullptr) {
        unlink(waiter);
    }
    unlock_list(0);
}

bool StateBase::try_add(Watcher& watcher) noexcept {
    const Word word = lock_list();
    if (is_done(word)) {
        unlock_list(0);
        return false;
    }
    append(watcher);
    unlock_list(watched_bit | callback_bit);
    if ((word & watched_bit) == 0) {
        watched();
    }
    return true;
}

bool StateBase::remove_edge(Watcher& edge) noexcept {
    lock_list();
    const bool listed = edge.next_ != nullptr;
    if (listed) {
        unlink(edge);
    }
    unlock_list(0);
    return listed;
}

void StateBase::add_callback(std::unique_ptr<Watcher> callback) {
    if (try_add(*callback)) {
        static_cast<void>(callback.release());  // the list's, or told already
    } else {
        callback->told(*this);
    }
}

void StateBase::tell_waiters() noexcept {
    lock_list();
    for (Watcher* first = first_watcher();
         first != nullptr && first->kind_ == Watcher::Kind::waiter;
         first = first_watcher()) {
        unlink(*first);
        first->told(*this);  // from here on it may be gone
    }
    unlock_list(0);
}

/// Cancelled, and its executor is still to hear of it.
void StateBase::tell_waiters_of_cancel() noexcept {
    lock_list();
    for (Watcher* at = first_watcher();
         at != nullptr && at->kind_ == Watcher::Kind::waiter;) {
        Watcher* const next = at == last_watcher() ? nullptr : at->next_;
        if (at->hears_cancel_) {
            unlink(*at);
            at->told(*this);
        }
        at = next;
    }
    unlock_list(0);
}

/// The next callback or edge, with a reference if it will need one; taken in one with
/// it, so that a value which is still to be told is not moved out.
Watcher* StateBase::take_callback() noexcept {
    lock_list();
    Watcher* at = first_watcher();
    while (at != nullptr && at->kind_ == Watcher::Kind::waiter) {
        at = at == last_watcher() ? nullptr : at->next_;
    }
    if (at != nullptr) {
        unlink(*at);
        fetch_watchers();
        if (at->kind_ != Watcher::Kind::edge) {
            add_reference();
        }
    }
    unlock_list(0);
    return at;
}

void StateBase::run_listed(Ready& ready) {
    while (Watcher* const next = take_callback()) {
        if (next->kind_ != Watcher::Kind::callback) {
            next->told(*this);
            continue;
        }
        const std::unique_ptr<Watcher> callback(next);
        // NOLINTNEXTLINE(cppcoreguidelines-special-member-functions): of one place only
        const struct Kept {
            StateBase& state;

            ~Kept() { state.drop_reference(); }
        } kept{*this};
        ready.run();  // what was added before it comes before it
        callback->told(*this);
    }
    ready.run();
}

void StateBase::run_callbacks() {
    Ready ready;
    try {
        run_listed(ready);
    } catch (const mp::detail::ForcedUnwind&) {
        ready.run();
        throw;
    }
}

void StateBase::run_all_callbacks() {
    Ready ready;
    try {
        run_listed(ready);
    } catch (const mp::detail::ForcedUnwind&) {
        run_listed(ready);
        throw;
    }
}

bool StateBase::tell_at_once() {
    // order: relaxed, this thread has concluded it.
    const auto outcome = word_.load(std::memory_order_relaxed);
    if (state_of(outcome) != FutureState::finished || (outcome & raised_bit) != 0) {
        return false;
    }
    Ready ready;
    for (;;) {
        lock_list();
        Watcher* const first = first_watcher();
        const bool at_once = first != nullptr && first->at_once_;
        if (at_once) {
            unlink(*first);
            fetch_watchers();
            if (first->kind_ == Watcher::Kind::keeping_edge) {
                add_reference();
            }
        }
        unlock_list(0);
        if (!at_once) {
            ready.run();
            return first == nullptr;
        }
        first->told(*this);
    }
}

bool StateBase::all_are_told() noexcept {
    const Word word = lock_list();
    const bool all = references(word) == 2 && last_watcher() == nullptr;
    unlock_list(0);
    return all;
}

/// drop_reference() of a future of which what waits for it may have handles.
void StateBase::drop_lent() noexcept {
    lock_list();
    std::uint64_t lent = 0;
    for (const Watcher* at = first_watcher(); at != nullptr;
         at = at == last_watcher() ? nullptr : at->next_) {
        lent += at->has_handle_ ? 1U : 0U;
    }
    // order: acquire, as in drop_reference().
    auto word = word_.load(std::memory_order_acquire);
    const bool is_last = references(word) == 1;
    const bool is_lost = lent != 0 && references(word) == lent + 1 && !is_done(word);
    if (is_last || is_lost) {
        // order: relaxed, who comes after has the lock first, or no reference.
        word_.fetch_and(~lent_bit, std::memory_order_relaxed);
        Watcher* const lost = is_lost ? unlink_lent() : nullptr;
        unlock_list(0);
        tell_lost(lost);
        drop_reference();
        return;
    }
    // With the lock: then the next one counts right, and may be the last.
    // order: acq_rel, as in drop_reference() and unlock_list().
    while (!word_.compare_exchange_weak(
        word,
        (word & ~lock_bit) - one_reference,
        std::memory_order_acq_rel,
        std::memory_order_relaxed
    )) {
    }
}

/// Those that have handles, and nothing else: whoever gets such a handle from them can
/// still complete the future. A list by prev_. Requires: the lock.
Watcher* StateBase::unlink_lent() noexcept {
    Watcher* lost = nullptr;
    for (Watcher* at = first_watcher(); at != nullptr;) {
        Watcher* const next = at == last_watcher() ? nullptr : at->next_;
        if (at->has_handle_) {
            unlink(*at);
            at->prev_ = std::exchange(lost, at);
        }
        at = next;
    }
    return lost;
}

void StateBase::tell_lost(Watcher* first) noexcept {
    Ready ready;
    while (Watcher* const watcher = first) {
        first = std::exchange(watcher->prev_, nullptr);
        watcher->given_up();
    }
    ready.run();
}

/// What is in the list of a future that was not concluded. A dependent that is being
/// cancelled may still be taking its edge out, which the list lock waits for.
void StateBase::give_up() noexcept {
    Ready ready;
    for (;;) {
        lock_list();
        Watcher* const first = first_watcher();
        if (first != nullptr) {
            unlink(*first);
        }
        unlock_list(0);
        if (first == nullptr) {
            break;
        }
        first->given_up();
    }
    ready.run();
}

}  // namespace futures::detail
