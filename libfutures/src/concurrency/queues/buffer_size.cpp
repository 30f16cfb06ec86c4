// SPDX-License-Identifier: BSL-1.0
#include "concurrency/detail/buffer_size.hpp"

#include "concurrency/errors.hpp"

namespace concurrency::detail {

void refuse_buffer_size() {
    throw ValueError("a buffer size is a number of items from 0 upwards, or inf");
}

}  // namespace concurrency::detail
