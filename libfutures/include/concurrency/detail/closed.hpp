// SPDX-License-Identifier: BSL-1.0
// What a call that closes something gives: there is nothing to wait for, but who is
// used to AnyIO awaits it.
// Python:  the coroutine of aclose().
// Differs: it is done when the call returns; awaiting it is no checkpoint.
// Threads: any.
#pragma once

#include <coroutine>

namespace concurrency::detail {

/// Something that has been done, and may be awaited all the same.
struct Closed {
    bool await_ready() const noexcept { return true; }

    void await_suspend(std::coroutine_handle<>) const noexcept {}

    void await_resume() const noexcept {}
};

}  // namespace concurrency::detail
