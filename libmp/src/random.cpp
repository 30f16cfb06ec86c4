// SPDX-License-Identifier: BSL-1.0
#include "random.hpp"

#include <openssl/crypto.h>
#include <openssl/rand.h>

#include <stdexcept>

namespace mp::os {

void random_bytes(std::span<std::byte> into) {
    auto* bytes = reinterpret_cast<unsigned char*>(into.data());
    if (RAND_bytes(bytes, static_cast<int>(into.size())) != 1) {
        throw std::runtime_error("the system gives no random bytes");
    }
}

void wipe(std::span<std::byte> secret) noexcept {
    OPENSSL_cleanse(secret.data(), secret.size());
}

bool equal_in_constant_time(
    std::span<const std::byte> a, std::span<const std::byte> b
) noexcept {
    return a.size() == b.size() && CRYPTO_memcmp(a.data(), b.data(), a.size()) == 0;
}

}  // namespace mp::os
