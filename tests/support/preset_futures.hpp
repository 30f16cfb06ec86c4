// SPDX-License-Identifier: BSL-1.0
// A future in each of the states that a future can be in.
#pragma once

#include "futures/future.hpp"

#include <stdexcept>
#include <string>
#include <system_error>

namespace test {

struct PresetFutures {
    PresetFutures() {
        running.set_running_or_notify_cancel();
        cancelled.cancel();
        cancelled_and_notified.cancel();
        cancelled_and_notified.set_running_or_notify_cancel();
        failed.set_exception(
            std::system_error(std::make_error_code(std::errc::io_error), "preset")
        );
        successful.set_result(42);
    }

    futures::Future<int> pending;
    futures::Future<int> running;
    futures::Future<int> cancelled;
    futures::Future<int> cancelled_and_notified;
    futures::Future<int> failed;
    futures::Future<int> successful;
};

}  // namespace test
