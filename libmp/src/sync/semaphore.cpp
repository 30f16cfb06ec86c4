// SPDX-License-Identifier: BSL-1.0
// The handle of a semaphore: a count of tokens, or a ledger of them.
#include "mp/semaphore.hpp"

#include "os/check.hpp"
#include "sync/token_count.hpp"
#include "sync/token_ledger.hpp"

#include <cerrno>
#include <new>
#include <stdexcept>
#include <string>

namespace mp {

namespace {

using detail::TokenCount;
using detail::TokenLedger;

// One of the two, each zeroed or made by set().
struct SemaphoreState {
    std::uint32_t bound;
    bool is_bounded;
    bool is_owned;
    TokenCount count;
};

struct OwnedSemaphoreState : SemaphoreState {
    TokenLedger ledger;
};

SemaphoreState& semaphore_state_of(const detail::SharedBlock& block) {
    return block.checked<SemaphoreState>("a Semaphore");
}

TokenLedger& ledger_of(SemaphoreState& state) noexcept {
    return static_cast<OwnedSemaphoreState&>(state).ledger;
}

bool too_large(int value) noexcept {
    return static_cast<std::uint32_t>(value) > TokenLedger::max_tokens;
}

SemaphoreOptions bounded_defaults(SemaphoreOptions options) {
    if (!options.owned) {
        options.owned = options.value >= 0 && !too_large(options.value);
    }
    return options;
}

}  // namespace

Semaphore::Semaphore(SemaphoreOptions options) : Semaphore(options, Bound::none) {}

Semaphore::Semaphore(SemaphoreOptions options, Bound bound) {
    const bool owned = options.owned.value_or(false);
    if (options.value < 0 || (owned && too_large(options.value))) {
        os::throw_error(EINVAL, "the value of a semaphore");
    }
    const auto value = static_cast<std::uint32_t>(options.value);
    block_ = detail::SharedBlock::allocate(
        owned ? sizeof(OwnedSemaphoreState) : sizeof(SemaphoreState)
    );
    auto& state = block_.as<SemaphoreState>();
    state.is_owned = owned;
    state.is_bounded = bound == Bound::initial_value;
    state.bound = state.is_bounded ? value
                  : owned          ? TokenLedger::max_tokens
                                   : TokenCount::max_tokens;
    if (owned) {
        ledger_of(state).set(value);
    } else {
        state.count.set(value);
    }
}

bool Semaphore::acquire(Timeout timeout) {
    SemaphoreState& state = semaphore_state_of(block_);
    return state.is_owned ? ledger_of(state).acquire(block_.processes(), timeout)
                          : state.count.acquire(timeout);
}

void Semaphore::release(int count) {
    SemaphoreState& state = semaphore_state_of(block_);
    if (count < 1) {
        throw std::invalid_argument(
            "a semaphore cannot be released " + std::to_string(count) + " times"
        );
    }
    const auto tokens = static_cast<std::uint32_t>(count);
    const bool given =
        state.is_owned
            ? ledger_of(state).release(block_.processes(), tokens, state.bound)
            : state.count.release(tokens, state.bound);
    if (given) {
        return;
    }
    if (state.is_bounded) {
        throw std::invalid_argument(
            "a bounded semaphore of " + std::to_string(state.bound) +
            " was released more often than acquired"
        );
    }
    throw std::overflow_error("a semaphore was released too often");
}

int Semaphore::get_value() const {
    SemaphoreState& state = semaphore_state_of(block_);
    return static_cast<int>(
        state.is_owned ? ledger_of(state).value() : state.count.value()
    );
}

BoundedSemaphore::BoundedSemaphore(SemaphoreOptions options)
    : Semaphore(bounded_defaults(options), Bound::initial_value) {}

}  // namespace mp
