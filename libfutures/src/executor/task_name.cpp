// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/task_name.hpp"

#include "mp/detail/code_ref.hpp"

namespace futures::detail {

std::string TaskName::text() const {
    return function_ != nullptr ? mp::detail::function_name(function_)
                                : std::string(type_);
}

}  // namespace futures::detail
