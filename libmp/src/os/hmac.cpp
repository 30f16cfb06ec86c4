// SPDX-License-Identifier: BSL-1.0
#include "os/hmac.hpp"

#include "mp/errors.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <openssl/evp.h>
#include <openssl/hmac.h>
#include <openssl/opensslv.h>

#include <dlfcn.h>
#include <fcntl.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <string>
#include <system_error>

namespace mp::os {

namespace {

constexpr std::array<std::string_view, 5> names{
    "md5", "sha256", "sha384", "sha3_256", "sha3_384"};

// What is used of libcrypto, in the order of Digest.
struct Crypto {
    decltype(&::HMAC) hmac = nullptr;
    std::array<decltype(&::EVP_md5), names.size()> digests{};
};

#ifdef MP_LINK_OPENSSL

const Crypto& crypto() {
    static constexpr Crypto linked{
        &::HMAC,
        {&::EVP_md5, &::EVP_sha256, &::EVP_sha384, &::EVP_sha3_256, &::EVP_sha3_384}};
    return linked;
}

#else

#ifdef OPENSSL_SHLIB_VERSION
#define MP_TEXT_OF(macro) #macro
#define MP_TEXT(macro) MP_TEXT_OF(macro)
constexpr const char* library_name = "libcrypto.so." MP_TEXT(OPENSSL_SHLIB_VERSION);
#else
constexpr const char* library_name = "libcrypto.so." SHLIB_VERSION_NUMBER;
#endif

// The loader does not tell its error as a number.
void check_descriptors() {
    const UniqueFd any =
        try_new_fd([] { return ::open("/dev/null", O_RDONLY | O_CLOEXEC); });
    const std::error_code error = any ? std::error_code() : last_error();
    if (error.value() == EMFILE || error.value() == ENFILE) {
        throw_error(error.value(), "loading libcrypto");
    }
}

[[noreturn]] void throw_no_library() {
    const std::string reason = [] {
        const char* why = ::dlerror();
        return std::string(why != nullptr ? why : library_name);
    }();
    check_descriptors();
    throw AuthenticationError(
        "cannot authenticate: " + reason +
        " (install that OpenSSL, or build libmp with LIBMP_LINK_OPENSSL)"
    );
}

template <class Function>
void find(void* library, const char* name, Function& function) {
    function = reinterpret_cast<Function>(::dlsym(library, name));
    if (function == nullptr) {
        throw_no_library();
    }
}

// Loaded when it is needed, since most programs never need it and each of their
// children would pay (docs/decisions/002-openssl-on-demand.md). Never unloaded.
const Crypto& crypto() {
    static std::atomic<const Crypto*> loaded = nullptr;
    // order: acquire, pairs with the exchange below, so that the pointers are seen.
    if (const Crypto* known = loaded.load(std::memory_order_acquire)) {
        return *known;
    }
    // No lock: a thread that forks meanwhile must leave none behind in its child. Two
    // threads may do this at once; they find the same.
    void* library = ::dlopen(library_name, RTLD_NOW | RTLD_LOCAL);
    if (library == nullptr) {
        throw_no_library();
    }
    Crypto found;
    find(library, "HMAC", found.hmac);
    find(library, "EVP_md5", found.digests[0]);
    find(library, "EVP_sha256", found.digests[1]);
    find(library, "EVP_sha384", found.digests[2]);
    find(library, "EVP_sha3_256", found.digests[3]);
    find(library, "EVP_sha3_384", found.digests[4]);
    const Crypto* mine = new Crypto(found);
    const Crypto* first = nullptr;
    if (!loaded.compare_exchange_strong(first, mine)) {
        delete mine;
        return *first;
    }
    return *mine;
}

#endif

}  // namespace

void load_crypto() {
    static_cast<void>(crypto());
}

std::string_view to_string(Digest digest) noexcept {
    return names[static_cast<std::size_t>(digest)];
}

std::optional<Digest> digest_from(std::string_view name) noexcept {
    for (std::size_t i = 0; i < names.size(); ++i) {
        if (names[i] == name) {
            return static_cast<Digest>(i);
        }
    }
    return std::nullopt;
}

std::vector<std::byte> hmac(
    Digest digest, std::span<const std::byte> key, std::span<const std::byte> message
) {
    const Crypto& use = crypto();
    std::array<unsigned char, EVP_MAX_MD_SIZE> result{};
    unsigned size = 0;
    // A null pointer is not an empty key: to OpenSSL it is none.
    const unsigned char none = 0;
    const void* key_data = key.empty() ? static_cast<const void*>(&none) : key.data();
    const auto* data = reinterpret_cast<const unsigned char*>(message.data());
    if (use.hmac(
            use.digests[static_cast<std::size_t>(digest)](),
            key_data,
            static_cast<int>(key.size()),
            message.empty() ? &none : data,
            message.size(),
            result.data(),
            &size
        ) == nullptr) {
        throw AuthenticationError(
            "OpenSSL refuses HMAC-" + std::string(to_string(digest))
        );
    }
    const auto bytes = std::as_bytes(std::span(result)).first(size);
    return {bytes.begin(), bytes.end()};
}

}  // namespace mp::os
