// SPDX-License-Identifier: BSL-1.0
// platform: what the libraries need of a compiler and a system, said before anything
// else fails in a less readable way.
// Python:  none, because the interpreter was built for its platform.
// Differs: nothing to differ from.
// Threads: none.
#pragma once

#include <climits>

#if __cplusplus < 202002L
#error "libmp needs C++20: compile with -std=c++20 or newer"
#define MP_STOP
#elif !defined(__cpp_exceptions)
#error "libmp reports errors by exceptions: compile without -fno-exceptions"
#define MP_STOP
#elif !defined(__cpp_rtti)
#error "libmp names types of exceptions and results: compile without -fno-rtti"
#define MP_STOP
#elif !defined(__linux__)
#error "libmp runs on Linux only"
#define MP_STOP
#elif !defined(__GLIBC__)
#error "libmp needs glibc: it looks into its robust mutexes"
#define MP_STOP
#elif ULONG_MAX < 0xffffffffffffffff
#error "libmp needs 64-bit pointers: it reserves large ranges of addresses"
#define MP_STOP
#endif

#ifdef MP_STOP
// No such file: the compiler stops here, instead of printing what follows from it.
#include <mp/see_the_error_above>
#endif
