// SPDX-License-Identifier: BSL-1.0
#include "random.hpp"

#include "check.hpp"

#include <string.h>
#include <sys/random.h>

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
    ::explicit_bzero(secret.data(), secret.size());
}

bool equal_in_constant_time(
    std::span<const std::byte> a, std::span<const std::byte> b
) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mp::os
