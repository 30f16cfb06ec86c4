// SPDX-License-Identifier: BSL-1.0
// StateWord: the 64 bits that say everything about a future but its value.
// Python:  Future._state, and what its condition variable knows.
// Differs: one word, so that each move is one operation (docs/protocols/
//          future_state.md).
// Threads: any; pure functions.
#pragma once

#include <cstdint>

namespace futures {

enum class FutureState : std::uint8_t {
    pending,                 ///< no thread began with it
    running,                 ///< it can no longer be cancelled
    cancelled,               ///< cancelled; its executor does not know yet
    cancelled_and_notified,  ///< cancelled, and wait() counts it as done
    finished,                ///< it has a result or an exception
};

namespace detail {

/// What a settled future holds.
enum class Outcome : std::uint8_t {
    value,          ///< emplace() was called
    exception,      ///< store_exception() was called
    raw_value,      ///< materialise() will make the value when a thread asks
    raw_exception,  ///< materialise() will make the exception
    cancelled,      ///< the call was stopped; there is neither
};

/// The names of the bits; StateBase derives from it as std::ctype does from
/// std::ctype_base.
struct StateWord {
    using Word = std::uint64_t;

    // The low half is the futex word: state and flags; the high half counts references.
    static constexpr Word state_mask = 7;
    static constexpr Word sleeper_bit = 1U << 3;    // a thread sleeps on the word
    static constexpr Word watched_bit = 1U << 4;    // a watcher was put into the list
    static constexpr Word lock_bit = 1U << 5;       // guards the list
    static constexpr Word callback_bit = 1U << 6;   // a callback was among them
    static constexpr Word raised_bit = 1U << 7;     // finished with an exception
    static constexpr Word raw_bit = 1U << 8;        // materialise() is due
    static constexpr Word decoding_bit = 1U << 9;   // and being called
    static constexpr Word settling_bit = 1U << 10;  // a set_result() stores its value
    static constexpr Word taken_bit = 1U << 11;     // the value was moved out
    static constexpr Word owned_bit = 1U << 12;     // an executor settles it
    static constexpr Word telling_bit = 1U << 13;   // its executor's reference is only
                                                    // held for the list
    static constexpr Word lent_bit = 1U << 14;  // what waits for it has handles of it
    static constexpr Word one_reference = Word{1} << 32;

    static constexpr FutureState state_of(Word word) noexcept {
        return static_cast<FutureState>(word & state_mask);
    }

    static constexpr Word with_state(Word word, FutureState state) noexcept {
        return (word & ~state_mask) | static_cast<Word>(state);
    }

    static constexpr Word references(Word word) noexcept { return word >> 32; }

    static constexpr bool is_done(Word word) noexcept {
        return (word & state_mask) >= static_cast<Word>(FutureState::cancelled);
    }

    static constexpr bool is_told(Word word) noexcept {
        return (word & state_mask) >=
               static_cast<Word>(FutureState::cancelled_and_notified);
    }

    static constexpr Word settled(Word word, Outcome outcome) noexcept {
        const bool raises =
            outcome == Outcome::exception || outcome == Outcome::raw_exception;
        const bool raw =
            outcome == Outcome::raw_value || outcome == Outcome::raw_exception;
        const FutureState state = outcome == Outcome::cancelled
                                      ? FutureState::cancelled_and_notified
                                      : FutureState::finished;
        return (with_state(word, state) & ~settling_bit) | (raises ? raised_bit : 0) |
               (raw ? raw_bit : 0);
    }
};

}  // namespace detail
}  // namespace futures
