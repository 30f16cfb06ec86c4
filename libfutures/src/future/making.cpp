// SPDX-License-Identifier: BSL-1.0
#include "futures/detail/making.hpp"

namespace futures::detail {

unsigned& Making::depth() noexcept {
    thread_local constinit unsigned making = 0;
    return making;
}

}  // namespace futures::detail
