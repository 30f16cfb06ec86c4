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

void check_options_of_task(const SubmitOptions& options) {
    if (options.timeout.duration() <= std::chrono::nanoseconds::zero()) {
        throw std::invalid_argument(
            "submit(): a task's .timeout must be more than 0: it is for how long the "
            "task may run"
        );
    }
    if (options.limits.any()) [[unlikely]] {
        check_limits(options.limits);
    }
}

void check_options_of_thread(const SubmitOptions& options) {
    check_options_of_task(options);
    if (options.kill_after) {
        refuse("kill_after");
    }
    if (options.retries != 0 && !options.retry_on) {
        throw std::invalid_argument(
            "submit(): a task of a thread pool cannot have .retries without .retry_on: "
            "no thread is lost, so only exceptions can be a reason to run it again"
        );
    }
    if (options.limits.any()) {
        refuse("limits");
    }
    if (options.detached) {
        throw std::invalid_argument(
            "submit(): a task of a thread pool cannot be .detached: it is not part of "
            "the one that submits it"
        );
    }
}

}  // namespace futures::detail
