// SPDX-License-Identifier: BSL-1.0
// ForcedUnwind: what passes through a thread's functions when it ends itself by
// pthread_exit() or is cancelled. A handler has to pass it on.
// Python:  SystemExit in a thread.
// Differs: with clang's C++ library (libc++) no handler can see it: only destructors
//          run, and a task or callback that ends its thread is not noticed.
// Threads: any.
#pragma once

#include <cxxabi.h>
#include <exception>

namespace mp::detail {

#ifdef __GLIBCXX__
using ForcedUnwind = abi::__forced_unwind;
#else
class ForcedUnwind {
    ForcedUnwind() = delete;
};
#endif

}  // namespace mp::detail
