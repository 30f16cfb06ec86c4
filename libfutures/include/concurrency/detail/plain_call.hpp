// SPDX-License-Identifier: BSL-1.0
// PlainFunction: a function that is no coroutine, called as one.
// Python:  none, because a call finds out there.
// Differs: nothing to differ from.
// Threads: its loop's.
#pragma once

#include "futures/detail/task_name.hpp"

#include "concurrency/coroutine.hpp"

#include <functional>
#include <type_traits>
#include <utility>

namespace concurrency::detail {

/// Lives, and so do the arguments, until its coroutine has ended.
template <class Fn>
class PlainFunction {
public:
    explicit PlainFunction(Fn fn) : fn_(std::move(fn)) {}

    template <class... Args>
        requires std::is_invocable_v<Fn, Args...>
            Task<std::decay_t<std::invoke_result_t<Fn, Args...>>>
    operator()(Args&&... args) {
        co_return std::invoke(std::move(fn_), std::forward<Args>(args)...);
    }

    futures::detail::TaskName task_name() const noexcept {
        return futures::detail::TaskName::of(fn_);
    }

private:
    Fn fn_;
};

}  // namespace concurrency::detail
