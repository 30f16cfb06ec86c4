// SPDX-License-Identifier: BSL-1.0
#include "futures/after.hpp"

#include <stdexcept>

namespace futures {

detail::StatePtr<detail::StateBase> After::Item::counted(detail::StateBase* state) {
    if (state == nullptr) {
        throw std::invalid_argument(
            "a task cannot come after a Future handle that was moved from"
        );
    }
    state->add_reference();
    return detail::StatePtr<detail::StateBase>(state);
}

}  // namespace futures
