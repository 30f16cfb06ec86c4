// SPDX-License-Identifier: BSL-1.0
#include "concurrency/retry.hpp"

#include "concurrency/cancel.hpp"

#include <algorithm>
#include <cmath>
#include <random>

namespace concurrency {

namespace {

// No coroutine may keep the address of what belongs to a thread.
[[gnu::noinline]] double random_part(double most) {
    thread_local std::minstd_rand numbers{std::random_device{}()};
    return std::uniform_real_distribution<>(0, most)(numbers);
}

}  // namespace

void RetryOptions::check() const {
    if (attempts_ < 1) {
        throw ValueError("retry() needs at least 1 attempt");
    }
    if (!(base_delay_ > 0)) {
        throw ValueError("the base_delay of retry() is to be more than 0");
    }
    if (!(max_delay_ >= 0)) {
        throw ValueError("the max_delay of retry() is to be 0 or more");
    }
    if (!(jitter_ >= 0) || jitter_ == inf) {
        throw ValueError("the jitter of retry() is to be a number, 0 or more");
    }
}

double RetryOptions::pause(int attempt, const std::exception_ptr& error) const {
    if (attempt >= attempts_ || split_cancellation(error).first ||
        !(chosen_ ? chosen_(error) : detail::is_instance<std::exception>(error))) {
        std::rethrow_exception(error);
    }
    const std::optional<double> deadline = effective_deadline();
    if (deadline && *deadline <= current_time()) {
        std::rethrow_exception(error);
    }
    const double pause = std::min(max_delay_, std::ldexp(base_delay_, attempt - 1));
    return jitter_ > 0 ? pause * (1 + random_part(jitter_)) : pause;
}

}  // namespace concurrency
