// SPDX-License-Identifier: BSL-1.0
#include "os/random.hpp"

#include "os/check.hpp"

#include <sys/random.h>

#include <string.h>

namespace mp::os {

// Not from OpenSSL: to load it costs 2 ms, its first random byte 10, in every program.
void random_bytes(std::span<std::byte> into) {
    while (!into.empty()) {
        const auto got = check_restarting("getrandom", [&] {
            return ::getrandom(into.data(), into.size(), 0);
        });
        into = into.subspan(static_cast<std::size_t>(got));
    }
}

void wipe(std::span<std::byte> secret) noexcept {
    if (!secret.empty()) {
        ::explicit_bzero(secret.data(), secret.size());
    }
}

bool equal_in_constant_time(
    std::span<const std::byte> a, std::span<const std::byte> b
) noexcept {
    if (a.size() != b.size()) {
        return false;
    }
    // volatile: no compiler may end the loop at the first difference.
    volatile unsigned char difference = 0;
    for (std::size_t i = 0; i < a.size(); ++i) {
        difference = difference | std::to_integer<unsigned char>(a[i] ^ b[i]);
    }
    return difference == 0;
}

}  // namespace mp::os
