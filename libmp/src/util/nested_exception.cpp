// SPDX-License-Identifier: BSL-1.0
#include "mp/detail/nested_exception.hpp"

namespace mp::detail {

std::exception_ptr current_cause() noexcept {
    try {
        throw;
    } catch (const std::nested_exception& outer) {
        return outer.nested_ptr();
    } catch (...) {
        return nullptr;
    }
}

}  // namespace mp::detail
