// SPDX-License-Identifier: BSL-1.0
// sanitized: which sanitizer this was compiled for. GCC and clang say it in two ways.
#pragma once

#if defined(__SANITIZE_ADDRESS__)
#define MP_UNDER_ASAN 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define MP_UNDER_ASAN 1
#endif
#endif
#if defined(__SANITIZE_THREAD__)
#define MP_UNDER_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define MP_UNDER_TSAN 1
#endif
#endif

namespace mp::os {

#ifdef MP_UNDER_ASAN
inline constexpr bool under_asan = true;
#else
inline constexpr bool under_asan = false;
#endif

#ifdef MP_UNDER_TSAN
inline constexpr bool under_tsan = true;
#else
inline constexpr bool under_tsan = false;
#endif

}  // namespace mp::os

#undef MP_UNDER_ASAN
#undef MP_UNDER_TSAN
