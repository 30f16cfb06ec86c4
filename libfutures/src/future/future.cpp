// SPDX-License-Identifier: BSL-1.0
#include "futures/future.hpp"

#include "future/exception_text.hpp"
#include "util/diagnostics.hpp"
#include "util/number_text.hpp"

namespace futures::detail {

namespace {

[[noreturn]] void throw_timeout(const StateBase& state, mp::Timeout timeout) {
    throw TimeoutError(
        state.describe(nullptr) + " is not done after " +
        mp::detail::seconds_text(timeout.duration())
    );
}

/// Waits until the future is finished.
void await(StateBase& state, mp::Timeout timeout) {
    if (!state.done() && !state.wait(mp::Deadline(timeout))) {
        throw_timeout(state, timeout);
    }
    if (state.state() != FutureState::finished) {
        throw CancelledError(state.describe(nullptr) + " has no result");
    }
    state.settle_value();
}

}  // namespace

void await_value(StateBase& state, mp::Timeout timeout) {
    await(state, timeout);
    if (const auto& exception = state.exception(); exception != nullptr) {
        std::rethrow_exception(exception);
    }
}

std::exception_ptr await_exception(StateBase& state, mp::Timeout timeout) {
    await(state, timeout);
    return state.exception();
}

void log_callback_error(const StateBase& state) noexcept {
    try {
        mp::detail::log_error(
            "exception calling callback for " + state.describe(nullptr) + ": " +
            current_exception_text()
        );
    } catch (...) {
        mp::detail::log_error("exception calling a future's callback");
    }
}

void log_callback_exit(const StateBase& state) noexcept {
    try {
        mp::detail::log_error(
            "a callback for " + state.describe(nullptr) +
            " called pthread_exit(): its thread ends"
        );
    } catch (...) {
        mp::detail::log_error("a future's callback called pthread_exit()");
    }
}

void throw_no_state() {
    throw InvalidStateError("the Future handle was moved from: it has no future");
}

}  // namespace futures::detail
