// SPDX-License-Identifier: BSL-1.0
// retry_on, backoff: when a task that failed is run again, and how long it waits
// before.
// Python:  none; tenacity's retry_if_exception_type and wait_random_exponential, Ray's
//          retry_exceptions.
// Differs: nothing to differ from.
// Threads: any; they are values.
#pragma once

#include <chrono>
#include <cstdint>
#include <exception>

namespace futures {

/// Which exceptions of a task make it run again. Without types: none.
class RetryOn {
public:
    /// A function that says so of an exception.
    using Matches = bool (*)(const std::exception_ptr& exception);

    constexpr RetryOn() noexcept = default;

    /// For retry_on<>(), or a function of the program that says so of an exception. It
    /// is called in this process, in a thread of the pool.
    // NOLINTNEXTLINE(google-explicit-constructor): a function is one
    constexpr RetryOn(Matches function) noexcept : matches_(function) {}

    /// Whether there is any.
    constexpr explicit operator bool() const noexcept { return matches_ != nullptr; }

    /// The function that says so; null: none.
    constexpr Matches matches() const noexcept { return matches_; }

    /// Whether a task that threw it is run again. Requires: there is any.
    bool operator()(const std::exception_ptr& exception) const {
        return matches_(exception);
    }

private:
    Matches matches_ = nullptr;
};

namespace detail {

template <class E>
bool is_caught_as(const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const E&) {
        return true;
    } catch (...) {
        return false;
    }
}

template <class... Exceptions>
bool is_caught_as_any(const std::exception_ptr& exception) {
    return (is_caught_as<Exceptions>(exception) || ...);
}

}  // namespace detail

/// What a `catch` of one of these would catch, derived types included:
/// `.retry_on = futures::retry_on<IoError, TimeoutError>()`. Of a process pool the
/// exception is looked at as it arrives: a type that cannot travel is mp::RemoteError.
template <class... Exceptions>
constexpr RetryOn retry_on() noexcept {
    static_assert(
        sizeof...(Exceptions) > 0,
        "retry_on<...>() needs the types of exceptions to run a task again for; "
        "std::exception is most of them"
    );
    return &detail::is_caught_as_any<Exceptions...>;
}

/// How long a task waits before it is run again. A duration is always the same;
/// backoff() grows. Nothing waits meanwhile but the task.
class RetryDelay {
public:
    /// At once.
    constexpr RetryDelay() noexcept = default;

    /// Always as long. Throws std::invalid_argument below zero.
    template <class Rep, class Period>
    // NOLINTNEXTLINE(google-explicit-constructor): it is one
    RetryDelay(std::chrono::duration<Rep, Period> delay)
        : RetryDelay(
              std::chrono::duration<double>(delay),
              1.0,
              std::chrono::duration<double>(delay),
              false
          ) {}

    /// For backoff().
    RetryDelay(
        std::chrono::duration<double> first,
        double factor,
        std::chrono::duration<double> longest,
        bool jitter
    );

    /// Whether it is no time at all.
    bool is_zero() const noexcept { return longest_.count() == 0; }

    /// Before the retry of that number; the first is 1. With jitter a random time from
    /// the half of it on.
    std::chrono::nanoseconds before(std::uint32_t retry) const noexcept;

private:
    std::chrono::nanoseconds first_{0};
    std::chrono::nanoseconds longest_{0};
    double factor_ = 1;
    bool jitter_ = false;
};

/// The first retry waits `first`, each further one `factor` times as long, none longer
/// than `longest`: `futures::backoff(100ms, 2.0, 5s)`. With jitter: from each, a random
/// part of up to a half is taken off, so that tasks that failed together do not come
/// back together. Throws std::invalid_argument for a time below zero, a factor below 1,
/// or NaN.
RetryDelay backoff(
    std::chrono::duration<double> first,
    double factor = 2,
    std::chrono::duration<double> longest = std::chrono::minutes(1)
);

}  // namespace futures
