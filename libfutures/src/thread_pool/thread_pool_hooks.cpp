// SPDX-License-Identifier: BSL-1.0
// What each thread of a pool does before its first task, and after its last.
#include "mp/detail/forced_unwind.hpp"
#include "mp/errors.hpp"

#include "future/exception_text.hpp"
#include "thread_pool/thread_pool_core.hpp"
#include "util/diagnostics.hpp"

#include <exception>
#include <string>
#include <utility>

namespace futures::detail {

namespace {

/// Requires: an exception is being handled.
void log_exception_of(const char* hook, const std::string& pool) noexcept {
    try {
        mp::detail::log_error(
            std::string("exception in the ") + hook + " of a thread of " + pool + ": " +
            current_exception_text()
        );
    } catch (...) {
        mp::detail::log_error("exception in the initializer or finalizer of a thread");
    }
}

}  // namespace

bool ThreadPool::initialise() {
    if (initializer_ == nullptr) {
        return true;
    }
    try {
        initializer_();
        return true;
    } catch (const mp::detail::ForcedUnwind&) {
        // Another thread would not fare better.
        initializer_failed(std::make_exception_ptr(
            mp::StateError("the initializer ended its thread by pthread_exit()")
        ));
        throw;
    } catch (...) {
        log_exception_of("initializer", prefix_);
        initializer_failed(std::current_exception());
        return false;
    }
}

void ThreadPool::initializer_failed(std::exception_ptr cause) {
    break_with(std::move(cause));
    const mp::detail::MutexLock lock(mutex_);
    --alive_;
    count_blocked();
}

void ThreadPool::finalise() {
    if (finalizer_ == nullptr) {
        return;
    }
    try {
        finalizer_();
    } catch (const mp::detail::ForcedUnwind&) {
        throw;
    } catch (...) {
        log_exception_of("finalizer", prefix_);
    }
}

}  // namespace futures::detail
