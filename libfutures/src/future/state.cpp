// SPDX-License-Identifier: BSL-1.0
// The words "pairs with" below name the functions of docs/protocols/future_state.md.
#include "futures/detail/state.hpp"

#include "futures/errors.hpp"

#include "future/dependency_walk.hpp"
#include "future/error_types.hpp"
#include "future/exception_text.hpp"
#include "future/pool_thread.hpp"
#include "future/ready.hpp"
#include "os/spin.hpp"
#include "util/demangle.hpp"
#include "util/diagnostics.hpp"
#include "util/hex.hpp"

#include <cstdint>
#include <string>

namespace futures::detail {

namespace {

// A program that uses futures at all may throw their exceptions in a task.
[[maybe_unused]] const bool errors_travel = (list_error_types(), true);

}  // namespace

StateBase::~StateBase() {
    // order: relaxed, no other thread has a reference.
    if ((word_.load(std::memory_order_relaxed) & watched_bit) != 0) {
        give_up();
    }
}

FutureState StateBase::state() const noexcept {
    // order: acquire pairs with conclude(), so that the value is visible.
    const auto word = word_.load(std::memory_order_acquire);
    const auto state = state_of(word);
    if (state != FutureState::pending) {
        return state;
    }
    if ((word & settling_bit) != 0) {
        return FutureState::running;
    }
    return (word & owned_bit) != 0 ? observe() : state;
}

// Waiting

/// A thread that waits does what nobody else can do: what waits for its turn in it. A
/// thread of a pool also runs what it waits for and nobody has begun.
bool StateBase::wait_or_help(const mp::Deadline& deadline) {
    if (!deadline.expired()) {
        PoolThread* const thread = PoolThread::of_this_thread();
        // A wait with a deadline must end in time, which a task need not.
        const bool runs = thread != nullptr && deadline.is_forever();
        const WaitForOne wait(*this, deadline);
        while (((Ready::any_here() && run_own_ready(wait)) ||
                (runs && thread->run_awaited(*this))) &&
               !done()) {
        }
    }
    if (!done() && deadline.is_forever()) {
        check_not_made_here(*this);
    }
    return done() || wait_until_done(deadline);
}

bool StateBase::sleep_until(bool told, const mp::Deadline& deadline) {
    const auto reached = [this, told] {
        // order: acquire pairs with conclude(), so that the value is visible.
        const auto word = word_.load(std::memory_order_acquire);
        return told ? is_told(word) : is_done(word);
    };
    if (reached() || deadline.expired()) {
        return reached();
    }
    if (mp::detail::spin([&] { return reached() || deadline.expired(); })) {
        return reached();
    }
    return reached() || sleep_as(PoolThread::of_this_thread(), told, deadline);
}

bool StateBase::sleep_as(PoolThread* thread, bool told, const mp::Deadline& deadline) {
    const WaitForOne wait(*this, deadline);
    const Blocked blocked(thread, wait);
    for (;;) {
        // order: acquire pairs with conclude(), so that the value is visible.
        const auto word = word_.load(std::memory_order_acquire);
        if (told ? is_told(word) : is_done(word)) {
            return true;
        }
        if (deadline.expired()) {
            return false;
        }
        sleep_on(word, deadline);
    }
}

/// Registers as a sleeper and sleeps, as long as the word stays as `seen`.
void StateBase::sleep_on(Word seen, const mp::Deadline& deadline) noexcept {
    const Word registered = seen | sleeper_bit;
    // order: relaxed is enough: the kernel compares the word again under its own lock,
    // and a thread that changes the state reads the bit in the same operation.
    if (seen == registered ||
        word_.compare_exchange_strong(seen, registered, std::memory_order_relaxed)) {
        mp::detail::futex_wait(
            futex_word(),
            static_cast<std::uint32_t>(registered),
            deadline,
            mp::detail::FutexScope::process
        );
    }
}

void StateBase::wake_all() noexcept {
    mp::detail::futex_wake(
        futex_word(), mp::detail::everybody, mp::detail::FutexScope::process
    );
}

mp::detail::FutexWord& StateBase::futex_word() noexcept {
    auto* const halves = reinterpret_cast<mp::detail::FutexWord*>(&word_);
#if __BYTE_ORDER__ == __ORDER_LITTLE_ENDIAN__
    return halves[0];
#else
    return halves[1];
#endif
}

// Concluding

bool StateBase::conclude_watched(Outcome outcome) noexcept {
    mp::detail::FutexWord& sleepers = futex_word();
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed);
    bool watched = false;
    Word next = 0;
    do {
        watched = (word & (watched_bit | lock_bit)) != 0;
        next = (settled(word, outcome) & ~sleeper_bit) + (watched ? telling_bit : 0) -
               (watched ? 0 : one_reference);
        // order: release pairs with done() and state(), so that the value is visible;
        // acquire pairs with drop_reference(), for dispose().
    } while (!word_.compare_exchange_weak(
        word, next, std::memory_order_acq_rel, std::memory_order_relaxed
    ));
    if ((word & sleeper_bit) != 0) {
        // A matter of the address alone: without our reference the word may be gone,
        // and a thread that sleeps there by then looks again and goes on sleeping.
        mp::detail::futex_wake(
            sleepers, mp::detail::everybody, mp::detail::FutexScope::process
        );
    }
    if (!watched) {
        if (references(word) == 1) {
            dispose();
        }
        return false;
    }
    tell_waiters();
    if (has_callbacks()) {
        return true;
    }
    end_telling();
    return false;
}

bool StateBase::cancel() {
    bool callbacks = false;
    const bool cancelled = cancel_before_callbacks(callbacks);
    if (callbacks) {
        run_all_callbacks();
    }
    return cancelled;
}

bool StateBase::cancel_before_callbacks(bool& callbacks) {
    callbacks = false;
    // order: acquire pairs with conclude(), so that a finished value is visible.
    auto word = word_.load(std::memory_order_acquire);
    Word cancelled = 0;
    do {
        if (is_done(word)) {
            return state_of(word) != FutureState::finished;
        }
        if (state_of(word) == FutureState::running || (word & settling_bit) != 0 ||
            ((word & owned_bit) != 0 && !request_cancel())) {
            return false;
        }
        // An executor of ours needs no notice: what it meets later is cancelled.
        cancelled = with_state(
                        word,
                        (word & owned_bit) != 0 ? FutureState::cancelled_and_notified
                                                : FutureState::cancelled
                    ) &
                    ~sleeper_bit;
        // order: acq_rel pairs with start(), so that discard_work() has the work alone.
    } while (!word_.compare_exchange_weak(
        word, cancelled, std::memory_order_acq_rel, std::memory_order_acquire
    ));
    if ((word & sleeper_bit) != 0) {
        wake_all();
    }
    discard_work();
    if ((word & (watched_bit | lock_bit)) != 0) {
        if (is_told(cancelled)) {
            tell_waiters();
        } else {
            tell_waiters_of_cancel();
        }
        callbacks = true;
    }
    return true;
}

bool StateBase::cancel_running() {
    for (;;) {
        if (cancel()) {
            return true;
        }
        if (done()) {
            return state() != FutureState::finished;
        }
        const StopAnswer answer = request_stop();
        if (answer != StopAnswer::queued) {
            // It may have been cancelled since.
            return answer == StopAnswer::yes ||
                   (done() && state() != FutureState::finished);
        }
    }
}

bool StateBase::set_running_or_notify_cancel() {
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed);
    for (;;) {
        const auto state = state_of(word);
        const bool pending =
            state == FutureState::pending && (word & (settling_bit | owned_bit)) == 0;
        if (!pending && state != FutureState::cancelled) {
            mp::detail::log_error(
                "set_running_or_notify_cancel() on " + describe(nullptr)
            );
            throw_invalid("set_running_or_notify_cancel");
        }
        const Word next =
            pending
                ? with_state(word, FutureState::running)
                : with_state(word, FutureState::cancelled_and_notified) & ~sleeper_bit;
        // order: acq_rel, as in cancel().
        if (word_.compare_exchange_weak(
                word, next, std::memory_order_acq_rel, std::memory_order_relaxed
            )) {
            if (pending) {
                return true;
            }
            break;
        }
    }
    if ((word & sleeper_bit) != 0) {
        wake_all();
    }
    tell_waiters();
    return false;
}

// Plain futures

void StateBase::begin_settling(const char* call) {
    // order: relaxed load, the exchange decides.
    auto word = word_.load(std::memory_order_relaxed);
    do {
        if (is_done(word) || (word & (settling_bit | owned_bit)) != 0) {
            throw_invalid(call);
        }
        // order: acquire pairs with abandon_settling(), so that its room is free.
    } while (!word_.compare_exchange_weak(
        word, word | settling_bit, std::memory_order_acquire, std::memory_order_relaxed
    ));
}

void StateBase::abandon_settling() noexcept {
    // order: release pairs with begin_settling().
    word_.fetch_and(~settling_bit, std::memory_order_release);
}

void StateBase::end_settling(Outcome outcome) {
    add_reference();  // the one that finish() drops
    finish(outcome);
}

void StateBase::settle_value() {
    for (;;) {
        // order: acquire pairs with the end of the decoding below.
        auto word = word_.load(std::memory_order_acquire);
        if ((word & raw_bit) == 0) {
            return;
        }
        if ((word & decoding_bit) != 0) {
            sleep_on(word, mp::Deadline(mp::forever));
            continue;
        }
        // order: acquire pairs with conclude(), so that what is to be decoded is
        // visible.
        if (!word_.compare_exchange_weak(
                word, word | decoding_bit, std::memory_order_acquire
            )) {
            continue;
        }
        try {
            materialise();
        } catch (...) {
            exception_ = std::current_exception();
        }
        const Word raised = exception_ != nullptr ? raised_bit : 0;
        do {
            // order: release pairs with the load above, so that the value is visible.
        } while (!word_.compare_exchange_weak(
            word,
            (word & ~(raw_bit | decoding_bit | sleeper_bit | raised_bit)) | raised,
            std::memory_order_release,
            std::memory_order_relaxed
        ));
        if ((word & sleeper_bit) != 0) {
            wake_all();
        }
        return;
    }
}

void StateBase::take_value() {
    // order: relaxed, because only one thread can see the bit clear.
    if ((word_.fetch_or(taken_bit, std::memory_order_relaxed) & taken_bit) != 0) {
        throw InvalidStateError(
            "the result was moved out of " + describe(nullptr) + " before"
        );
    }
}

void StateBase::check_not_taken() const {
    // order: relaxed, as above.
    if ((word_.load(std::memory_order_relaxed) & taken_bit) != 0) {
        throw InvalidStateError(
            "the result was moved out of " + describe(nullptr) + " before"
        );
    }
}

// Telling

void StateBase::throw_invalid(const char* call) const {
    throw InvalidStateError(std::string(call) + "() does not fit " + describe(nullptr));
}

std::string StateBase::describe(const char* value_type) const {
    std::string text = "<Future at " +
                       mp::detail::hex_number(reinterpret_cast<std::uintptr_t>(this)) +
                       " state=";
    switch (state()) {
    case FutureState::pending:
        text += "pending";
        break;
    case FutureState::running:
        text += "running";
        break;
    case FutureState::cancelled:
    case FutureState::cancelled_and_notified:
        text += "cancelled";
        break;
    case FutureState::finished:
        text += "finished";
        if (raised()) {
            text += " raised";
            if (exception_ != nullptr) {
                text += ' ' + type_name(exception_);
            }
        } else if (value_type != nullptr) {
            text += " returned " + mp::detail::demangled(value_type);
        }
        break;
    }
    text += '>';
    return text;
}

}  // namespace futures::detail
