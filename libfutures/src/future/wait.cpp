// SPDX-License-Identifier: BSL-1.0
#include "futures/wait.hpp"

#include "futures/detail/waiter.hpp"

namespace futures::detail {

namespace {

bool ends(const StateBase& state, ReturnWhen when) {
    return when == ReturnWhen::first_completed || state.raised();
}

void wait_for_all(std::span<StateBase* const> states, const mp::Deadline& deadline) {
    // One after the other: the end of the last one is the end, in whatever order, and
    // a thread that waits for one future can do its executor's work meanwhile.
    for (StateBase* state : states) {
        if (!state->told() && !state->wait_until_told(deadline)) {
            return;
        }
    }
}

}  // namespace

void wait_for(
    std::span<StateBase* const> states, const mp::Deadline& deadline, ReturnWhen when
) {
    if (when == ReturnWhen::all_completed) {
        wait_for_all(states, deadline);
        return;
    }
    for (const StateBase* state : states) {
        if (state->told() && ends(*state, when)) {
            return;
        }
    }
    Waiter waiter;
    std::size_t left = 0;
    for (std::size_t i = 0; i < states.size(); ++i) {
        if (waiter.watch(*states[i], i)) {
            ++left;
        } else if (ends(*states[i], when)) {
            return;
        }
    }
    while (left > 0) {
        const std::size_t i = waiter.next(deadline);
        if (i == Waiter::none || ends(*states[i], when)) {
            return;
        }
        --left;
    }
}

}  // namespace futures::detail
