// SPDX-License-Identifier: BSL-1.0
// Digest by OpenSSL's EVP, one context for many files.
#include "digest.hpp"

#include <openssl/err.h>
#include <openssl/evp.h>

#include <array>
#include <stdexcept>

namespace mpsum {

namespace {

struct Row {
    const char* name;
    const char* tag;
    std::size_t size;
};

// In the order of the enum.
constexpr std::array<Row, 4> rows{
    {{"sha256", "SHA256", 32},
     {"sha512", "SHA512", 64},
     {"sha1", "SHA1", 20},
     {"md5", "MD5", 16}}};

const Row& row_of(Algorithm algorithm) noexcept {
    return rows.at(static_cast<std::size_t>(algorithm));
}

void require(int ok, const char* what) {
    if (ok != 1) {
        std::array<char, 256> text{};
        ERR_error_string_n(ERR_get_error(), text.data(), text.size());
        throw std::runtime_error(std::string(what) + ": " + text.data());
    }
}

}  // namespace

std::optional<Algorithm> algorithm_named(std::string_view name) {
    for (std::size_t i = 0; i != rows.size(); ++i) {
        if (name == rows.at(i).name) {
            return static_cast<Algorithm>(i);
        }
    }
    return std::nullopt;
}

std::string_view tag_of(Algorithm algorithm) noexcept {
    return row_of(algorithm).tag;
}

std::size_t digest_size(Algorithm algorithm) noexcept {
    return row_of(algorithm).size;
}

struct Digest::Impl {
    // Fetched once: a fetch per file costs more than hashing a small file.
    std::unique_ptr<EVP_MD, decltype(&EVP_MD_free)> method{nullptr, &EVP_MD_free};
    std::unique_ptr<EVP_MD_CTX, decltype(&EVP_MD_CTX_free)> context{
        EVP_MD_CTX_new(), &EVP_MD_CTX_free};

    void start() {
        require(EVP_DigestInit_ex2(context.get(), method.get(), nullptr), "digest");
    }
};

Digest::Digest(Algorithm algorithm) : impl_(std::make_unique<Impl>()) {
    const Row& row = row_of(algorithm);
    impl_->method.reset(EVP_MD_fetch(nullptr, row.tag, nullptr));
    require(impl_->method != nullptr && impl_->context != nullptr ? 1 : 0, row.name);
    impl_->start();
}

Digest::~Digest() = default;

void Digest::update(std::span<const std::byte> bytes) {
    require(
        EVP_DigestUpdate(impl_->context.get(), bytes.data(), bytes.size()), "digest"
    );
}

std::string Digest::finish() {
    std::array<unsigned char, EVP_MAX_MD_SIZE> raw{};
    unsigned size = 0;
    require(EVP_DigestFinal_ex(impl_->context.get(), raw.data(), &size), "digest");
    impl_->start();
    return {raw.begin(), raw.begin() + size};
}

}  // namespace mpsum
