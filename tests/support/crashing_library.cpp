// SPDX-License-Identifier: BSL-1.0
// A library whose functions crash, in ways that leave different stacks.
#include "crashing_library.hpp"

#include <csignal>
#include <cstdlib>
#include <cstring>

namespace {

// Without a name where symbols are stripped.
[[gnu::noinline]] int write_to(volatile int* where, int x) {
    *where = x;
    return x;
}

}  // namespace

int third_crash(int x) {
    return write_to(nullptr, x) + 1;
}

int third_abort(int x) {
    if (x < 1'000'000) {
        std::abort();
    }
    return x;
}

int third_call_nothing(int x) {
    int (*volatile nothing)(int) = nullptr;
    return nothing(x) + 1;
}

int third_raise(int x) {
    return std::raise(SIGFPE) + x;
}

int third_copy(int x) {
    char* volatile nowhere = nullptr;
    std::memset(nowhere, x, 1'000'000);
    return x + 1;
}

int third_callback(int (*function)(int), int x) {
    return function(x) + 1;
}
