// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/derived.hpp"

#include "mp/errors.hpp"

namespace futures::detail {

std::exception_ptr thread_ended_in_function() {
    return std::make_exception_ptr(
        mp::StateError("the function ended its thread by pthread_exit()")
    );
}

}  // namespace futures::detail
