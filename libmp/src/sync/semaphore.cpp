// SPDX-License-Identifier: BSL-1.0
// The handle of a semaphore: a count of tokens, or a ledger of them.
#include "mp/semaphore.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "sync/token_count.hpp"
#include "sync/token_ledger.hpp"
#include "util/diagnostics.hpp"

#include <cerrno>
#include <stdexcept>
#include <string>

namespace mp {

namespace {

using detail::TokenCount;
using detail::TokenLedger;

// What a block holds is one of the two, as the handle knows, made by set().

TokenCount& count_of(const detail::SharedBlock& block) {
    return block.checked<TokenCount>("a Semaphore");
}

TokenLedger& ledger_of(const detail::SharedBlock& block) {
    return block.checked<TokenLedger>("a Semaphore");
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
    block_ =
        detail::SharedBlock::allocate(owned ? sizeof(TokenLedger) : sizeof(TokenCount));
    value_ = static_cast<std::uint32_t>(options.value);
    is_owned_ = owned;
    is_bounded_ = bound == Bound::initial_value;
    if (owned) {
        ledger_of(block_).set(value_);
    } else {
        count_of(block_).set(value_);
    }
}

void Semaphore::check_arrived() const {
    if (block_.size() < (is_owned_ ? sizeof(TokenLedger) : sizeof(TokenCount))) {
        throw SerializationError(
            SerializationPhase::decode, "the parts of a semaphore do not fit each other"
        );
    }
}

std::uint32_t Semaphore::bound() const noexcept {
    return is_bounded_ ? value_
           : is_owned_ ? TokenLedger::max_tokens
                       : TokenCount::max_tokens;
}

bool Semaphore::acquire(Timeout timeout) {
    return is_owned_ ? ledger_of(block_).acquire(block_.processes(), timeout, value_)
                     : count_of(block_).acquire(timeout, bound());
}

void Semaphore::release(int count) {
    if (count < 1) {
        throw std::invalid_argument(
            "a semaphore cannot be released " + std::to_string(count) + " times"
        );
    }
    const auto tokens = static_cast<std::uint32_t>(count);
    const bool given =
        is_owned_ ? ledger_of(block_).release(block_.processes(), tokens, bound())
                  : count_of(block_).release(tokens, bound());
    if (given) {
        return;
    }
    if (is_bounded_) {
        throw std::invalid_argument(
            "a bounded semaphore of " + std::to_string(bound()) +
            " was released more often than acquired"
        );
    }
    throw std::overflow_error("a semaphore was released too often");
}

void Semaphore::unlock() noexcept {
    try {
        release();
    } catch (const std::exception& error) {
        detail::log_error(error.what());
    }
}

int Semaphore::get_value() const {
    return static_cast<int>(
        is_owned_ ? ledger_of(block_).value() : count_of(block_).value()
    );
}

BoundedSemaphore::BoundedSemaphore(SemaphoreOptions options)
    : Semaphore(bounded_defaults(options), Bound::initial_value) {}

}  // namespace mp
