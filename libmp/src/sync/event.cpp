// SPDX-License-Identifier: BSL-1.0
// An event is one word, in which a flag, a count and a mark of sleepers stand.
#include "mp/event.hpp"

#include "mp/detail/futex.hpp"

#include "os/failpoint.hpp"
#include "os/spin.hpp"
#include "sync/owner_lock.hpp"

namespace mp {

namespace {

using detail::FutexScope;
using detail::FutexWord;

// The word: set:1 | how often it was set:30 | a thread may sleep:1. By the count a
// waiter recognises a set() that was cleared before it woke.
constexpr std::uint32_t is_set_bit = 1;
constexpr std::uint32_t one_set = 2;
constexpr std::uint32_t waiters = 1U << 31U;

constexpr std::uint32_t sets_of(std::uint32_t word) noexcept {
    return word & ~(waiters | is_set_bit);
}

FutexWord& word_of(const detail::SharedBlock& block) {
    return block.checked<FutexWord>("an Event");
}

}  // namespace

Event::Event() : block_(detail::SharedBlock::allocate(sizeof(FutexWord))) {}

bool Event::is_set() const {
    // order: acquire, pairs with set(), so that what was done before it is seen.
    return (word_of(block_).load(std::memory_order_acquire) & is_set_bit) != 0;
}

void Event::set() {
    FutexWord& word = word_of(block_);
    std::uint32_t seen = word.load();
    std::uint32_t next = 0;
    do {
        if ((seen & is_set_bit) != 0) {
            return;
        }
        next = ((sets_of(seen) + one_set) & ~waiters) | is_set_bit;
    } while (!word.compare_exchange_weak(seen, next));
    MP_FAILPOINT("event: set");
    if ((seen & waiters) != 0) {
        detail::futex_wake(word, detail::everybody, FutexScope::shared);
        MP_FAILPOINT("event: woken");
    }
}

void Event::clear() {
    word_of(block_).fetch_and(~is_set_bit);
}

bool Event::wait(Timeout timeout) const {
    FutexWord& word = word_of(block_);
    std::uint32_t seen = word.load();
    const std::uint32_t sets = sets_of(seen);
    const Deadline deadline(timeout);
    const auto was_set = [&] {
        return (seen & is_set_bit) != 0 || sets_of(seen) != sets;
    };
    detail::spin([&] {
        seen = word.load();
        return was_set() || deadline.expired();
    });
    for (;;) {
        if (was_set()) {
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        if ((seen & waiters) == 0 &&
            !word.compare_exchange_weak(seen, seen | waiters)) {
            continue;
        }
        // No longer than the recheck interval: the process that set it may have been
        // killed before the wake.
        detail::futex_wait(
            word,
            seen | waiters,
            deadline.sooner(detail::recheck_interval),
            FutexScope::shared
        );
        seen = word.load();
    }
}

std::string to_string(const Event& event) {
    return event.is_set() ? "<Event set>" : "<Event unset>";
}

}  // namespace mp
