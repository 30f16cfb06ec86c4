// SPDX-License-Identifier: BSL-1.0
#include "futures/submit_options.hpp"

#include <stdexcept>
#include <string>

namespace futures::detail {

namespace {

[[noreturn]] void refuse(const char* option) {
    throw std::invalid_argument(
        std::string("submit(): a task of a thread pool cannot have .") + option +
        ": only a process can be stopped from outside"
    );
}

}  // namespace

void check_options_of_thread(const SubmitOptions& options) {
    if (!options.timeout.is_forever()) {
        refuse("timeout");
    }
    if (options.retries != 0 && !options.retry_on) {
        throw std::invalid_argument(
            "submit(): a task of a thread pool cannot have .retries without .retry_on: "
            "no thread is lost, so only exceptions can be a reason to run it again"
        );
    }
    if (options.priority != 0) {
        throw std::invalid_argument(
            "submit(): a task of a thread pool cannot have .priority"
        );
    }
}

}  // namespace futures::detail
