// SPDX-License-Identifier: BSL-1.0
// retry: calls again what fails, after pauses that grow.
// Python:  lionpride.libs.concurrency.retry.
// Differs: the options are an object with setters; which errors are tried again is told
//          by types or by a function.
// Threads: a task of a loop.
// Throws:  the last error, as it is; ValueError for options that make no sense.
// Read next: src/concurrency/patterns/retry.cpp
#pragma once

#include "concurrency/checkpoint.hpp"
#include "concurrency/clock.hpp"
#include "concurrency/coroutine.hpp"
#include "concurrency/detail/body.hpp"
#include "concurrency/errors.hpp"

#include <exception>
#include <functional>
#include <type_traits>
#include <utility>

namespace concurrency {

namespace detail {

template <class Error>
bool is_instance(const std::exception_ptr& error) noexcept {
    try {
        std::rethrow_exception(error);
    } catch (const Error&) {
        return true;
    } catch (...) {
        return false;
    }
}

}  // namespace detail

/// How retry() goes about it. Each setter gives the options back:
/// RetryOptions().attempts(5).base_delay(0.2).
class RetryOptions {
public:
    RetryOptions() = default;

    /// How often it is called at most; 3 by default, at least 1.
    RetryOptions& attempts(int number) noexcept {
        attempts_ = number;
        return *this;
    }

    /// The first pause; each one after it is twice as long. 0.1 seconds by default,
    /// more than 0.
    RetryOptions& base_delay(Delay delay) noexcept {
        base_delay_ = delay.seconds();
        return *this;
    }

    /// No pause is longer, but for the jitter. 2 seconds by default.
    RetryOptions& max_delay(Delay delay) noexcept {
        max_delay_ = delay.seconds();
        return *this;
    }

    /// A pause is longer by up to this part of it, at random, so that many who fail at
    /// once do not all come again at once. 0.1 by default; 0 for none.
    RetryOptions& jitter(double part) noexcept {
        jitter_ = part;
        return *this;
    }

    /// Errors of these types, and of types derived from them, are tried again, no
    /// others. By default every std::exception is.
    template <class... Errors>
    RetryOptions& retry_on() {
        static_assert(
            !(std::is_same_v<Errors, Cancelled> || ...),
            "a cancellation is never tried again"
        );
        return retry_on([](const std::exception_ptr& error) noexcept {
            return (detail::is_instance<Errors>(error) || ...);
        });
    }

    /// Errors of which this says true are tried again. It is not asked about
    /// cancellations, which never are.
    RetryOptions& retry_on(std::function<bool(const std::exception_ptr&)> chosen) {
        chosen_ = std::move(chosen);
        return *this;
    }

    // -- For the library.

    /// Throws ValueError.
    void check() const;

    /// After this attempt, the first being 1: how many seconds to wait, or throws the
    /// error, if it is not to be tried again.
    double pause(int attempt, const std::exception_ptr& error) const;

private:
    int attempts_ = 3;
    double base_delay_ = 0.1;
    double max_delay_ = 2.0;
    double jitter_ = 0.1;
    std::function<bool(const std::exception_ptr&)> chosen_;
};

namespace detail {

template <class Fn>
auto retry_call(Fn fn, RetryOptions options) -> Task<typename TaskOf<Fn&>::value_type> {
    options.check();
    for (int attempt = 1;; ++attempt) {
        std::exception_ptr error;
        try {
            if constexpr (std::is_void_v<typename TaskOf<Fn&>::value_type>) {
                co_await fn();
                co_return;
            } else {
                co_return co_await fn();
            }
        } catch (...) {
            error = std::current_exception();
        }
        const double pause = options.pause(attempt, error);
        co_await sleep(pause);
    }
}

}  // namespace detail

/// Awaits fn(), which gives a Task, and when that throws, again after a pause, until it
/// succeeds or the attempts are used up; then the last error is thrown as it is, and
/// one that is not to be tried again at once. Time limits and cancellations around end
/// it also while it pauses, by their own error; when they have struck before the pause,
/// by the last one. The options are checked before the first call: ValueError.
template <class Fn>
auto retry(Fn&& fn, RetryOptions options = {}) {
    detail::check_awaited_callable<Fn>();
    return detail::retry_call<std::decay_t<Fn>>(
        std::forward<Fn>(fn), std::move(options)
    );
}

}  // namespace concurrency
