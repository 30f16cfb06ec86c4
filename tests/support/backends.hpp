// SPDX-License-Identifier: BSL-1.0
// over_backends(body): a coroutine run in a loop of each backend. For programs of their
// own (ALONE): the system executor's threads and descriptors stay until the end, so
// they are made before any case is charged with them.
#pragma once

#include "concurrency/backend.hpp"
#include "concurrency/checkpoint.hpp"
#include "concurrency/errors.hpp"
#include "support/catch.hpp"

#include <exception>
#include <fstream>
#include <iterator>
#include <string>

// CHECK of what is awaited: CHECK_AWAITED(queue.get(), == 1), or with .valid() for
// == 1. Never CHECK(co_await ...): CHECK writes its expression a second time where it
// is not to be evaluated, and g++ 12 awaits it there all the same.
// clang-format off
#define CHECK_AWAITED(awaitable, ...)                                                  \
    do {                                                                               \
        auto&& awaited = co_await (awaitable);                                         \
        CHECK(awaited __VA_ARGS__);                                                    \
    } while (false)
// clang-format on

namespace test {

/// Whether this is no child of a test: a fork server must not have threads.
inline bool is_first_process() {
    std::ifstream file("/proc/self/cmdline");
    const std::string line{std::istreambuf_iterator<char>(file), {}};
    return line.find("--multiprocessing") == std::string::npos;
}

inline const bool system_executor_is_there = [] {
    if (!is_first_process()) {
        return false;
    }
    concurrency::run(
        []() -> concurrency::Task<> { co_await concurrency::sleep(0.001); },
        concurrency::Backend::system_executor
    );
    return true;
}();

/// Calls `use` with each backend.
template <class Use>
void each_backend(Use use) {
    using concurrency::Backend;
    for (const auto& [backend, name] :
         {std::pair(Backend::io_context, "io_context"),
          std::pair(Backend::thread_pool, "thread_pool"),
          std::pair(Backend::system_executor, "system_executor")}) {
        INFO(name);
        use(backend);
    }
}

/// Runs `body()`, which gives a Task<>, in each backend.
template <class Body>
void over_backends(Body body) {
    each_backend([&](concurrency::Backend backend) {
        CHECK_NOTHROW(concurrency::run(body, backend));
    });
}

/// An exception in words: groups in brackets, "Cancelled", or what().
inline std::string in_words(const std::exception_ptr& exception) {
    if (!exception) {
        return "nothing";
    }
    try {
        std::rethrow_exception(exception);
    } catch (const concurrency::BaseExceptionGroup& group) {
        std::string text;
        for (const std::exception_ptr& member : group.exceptions()) {
            text += (text.empty() ? "" : ", ") + in_words(member);
        }
        return '[' + text + ']';
    } catch (const concurrency::Cancelled&) {
        return "Cancelled";
    } catch (const std::exception& e) {
        return e.what();
    } catch (...) {
        return "something";
    }
}

/// Awaits what `body()` gives and tells what it throws, in words: "nothing" if it does
/// not. A Cancelled passes.
template <class Body>
concurrency::Task<std::string> thrown_by(Body& body) {
    std::exception_ptr error;
    try {
        co_await body();
    } catch (...) {
        error = std::current_exception();
    }
    if (concurrency::is_cancelled(error)) {
        std::rethrow_exception(error);
    }
    co_return in_words(error);
}

}  // namespace test
