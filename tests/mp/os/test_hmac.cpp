// SPDX-License-Identifier: BSL-1.0
// HMAC, by the values of the RFCs and of CPython.
#include "os/hmac.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/text_of.hpp"

#include <array>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

using namespace mp;
using test::bytes_of;

namespace {

std::string hex(const std::vector<std::byte>& bytes) {
    std::string text;
    for (const std::byte b : bytes) {
        constexpr std::string_view digits = "0123456789abcdef";
        text += digits[std::to_integer<std::size_t>(b) >> 4U];
        text += digits[std::to_integer<std::size_t>(b) & 15U];
    }
    return text;
}

std::string hex_hmac(os::Digest digest, std::string_view key, std::string_view text) {
    return hex(os::hmac(digest, bytes_of(key), bytes_of(text)));
}

constexpr std::string_view jefe = "what do ya want for nothing?";

}  // namespace

TEST_CASE("hmac: what RFC 2202 and 4231 and CPython compute", "[hmac]") {
    using enum os::Digest;
    CHECK(hex_hmac(md5, "Jefe", jefe) == "750c783e6ab0b503eaa86e310a5db738");
    CHECK(
        hex_hmac(sha256, "Jefe", jefe) ==
        "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843"
    );
    CHECK(
        hex_hmac(sha384, "Jefe", jefe) ==
        "af45d2e376484031617f78d2b58a6b1b9c7ef464f5a01b47e42ec3736322445e"
        "8e2240ca5e69e2c78b3239ecfab21649"
    );
    CHECK(
        hex_hmac(sha3_256, "Jefe", jefe) ==
        "c7d4072e788877ae3596bbb0da73b887c9171f93095b294ae857fbe2645e1ba5"
    );
    CHECK(
        hex_hmac(sha3_384, "Jefe", jefe) ==
        "f1101f8cbf9766fd6764d2ed61903f21ca9b18f57cf3e1a23ca13508a93243ce"
        "48c045dc007f26a21b3f5e0e9df4c20a"
    );
}

TEST_CASE("hmac: an empty key and an empty message are some, too", "[hmac]") {
    CHECK(hex_hmac(os::Digest::md5, "", "") == "74e6f7298a9c2d168935f58c001bad88");
    CHECK(
        hex(os::hmac(os::Digest::sha256, {}, {})) ==
        "b613679a0814d9ec772f95d778c35fc5ff1697c493715653c6c712144292c5ad"
    );
}

TEST_CASE("hmac: digests have Python's names", "[hmac]") {
    for (const auto* name : {"md5", "sha256", "sha384", "sha3_256", "sha3_384"}) {
        REQUIRE(os::digest_from(name));
        CHECK(os::to_string(*os::digest_from(name)) == name);
    }
    for (const auto* name : {"", "sha1", "SHA256", "sha256 ", "sha3-256", "md5,"}) {
        CHECK_FALSE(os::digest_from(name));
    }
}

TEST_CASE("hmac: in many threads and in a forked child", "[hmac]") {
    const auto right = [] {
        return hex_hmac(os::Digest::md5, "Jefe", jefe) ==
               "750c783e6ab0b503eaa86e310a5db738";
    };
    std::array<bool, 4> results{};
    std::vector<std::thread> threads;
    for (bool& result : results) {
        threads.emplace_back([&] { result = right(); });
    }
    for (std::thread& thread : threads) {
        thread.join();
    }
    CHECK(results == std::array{true, true, true, true});
    CHECK(test::run_in_fork([&] { return right() ? 0 : 1; }) == 0);
}
