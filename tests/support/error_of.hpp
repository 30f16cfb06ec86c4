// SPDX-License-Identifier: BSL-1.0
// error_of(call): the number of the error that the system reported to a call.
#pragma once

#include <system_error>

namespace test {

/// The value of the code of the std::system_error that `call` throws, 0 when it throws
/// nothing; other exceptions pass through.
template <class Call>
int error_of(Call call) {
    try {
        call();
    } catch (const std::system_error& e) {
        return e.code().value();
    }
    return 0;
}

}  // namespace test
