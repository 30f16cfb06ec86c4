// SPDX-License-Identifier: BSL-1.0
// The numbers that threads get, and their names.
#include "sync/this_thread.hpp"

#include <pthread.h>
#include <unistd.h>

#include <array>
#include <atomic>

namespace mp::detail {

std::uint32_t thread_number() noexcept {
    static std::atomic<std::uint32_t> count{0};
    static thread_local std::uint32_t number = 0;
    if (number == 0) [[unlikely]] {
        number = count.fetch_add(1) + 1;
    }
    return number;
}

std::string thread_name() {
    if (::gettid() == ::getpid()) {
        return {};
    }
    std::array<char, 16> name{};
    ::pthread_getname_np(::pthread_self(), name.data(), name.size());
    return name.data();
}

}  // namespace mp::detail
