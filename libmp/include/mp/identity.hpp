// SPDX-License-Identifier: BSL-1.0
// AuthenticationString and Identity: what a process knows about itself and hands on.
// Python:  multiprocessing.process.AuthenticationString, BaseProcess._identity.
// Differs: a key is wiped from memory when it goes, and compared in constant time.
// Threads: one at a time.  Owns: the key's bytes.
#pragma once

#include <cstddef>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace mp {

/// A key shared by the processes of one family. It is serialised only for a child that
/// is being started; anywhere else that throws StateError, so that it cannot leak into
/// a message.
class AuthenticationString {
public:
    AuthenticationString() = default;
    /// A key of these bytes.
    explicit AuthenticationString(std::span<const std::byte> bytes);
    /// A key of this text's bytes.
    explicit AuthenticationString(std::string_view text);
    AuthenticationString(const AuthenticationString&) = default;
    AuthenticationString(AuthenticationString&&) noexcept = default;
    AuthenticationString& operator=(const AuthenticationString& other);
    AuthenticationString& operator=(AuthenticationString&& other) noexcept;
    ~AuthenticationString();

    /// 32 random bytes.
    static AuthenticationString random();

    /// The secret itself.
    std::span<const std::byte> bytes() const noexcept { return bytes_; }

    std::size_t size() const noexcept { return bytes_.size(); }

    bool empty() const noexcept { return bytes_.empty(); }

    friend bool
    operator==(const AuthenticationString& a, const AuthenticationString& b) noexcept {
        return a.equals(b);
    }

    template <class Archive>
    void save(Archive& archive, unsigned) const {
        refuse_outside_of_a_start();
        const std::string text(
            reinterpret_cast<const char*>(bytes_.data()), bytes_.size()
        );
        archive << text;
    }

    template <class Archive>
    void load(Archive& archive, unsigned) {
        std::string text;
        archive >> text;
        *this = AuthenticationString(std::string_view(text));
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned version) {
        if constexpr (Archive::is_saving::value) {
            save(archive, version);
        } else {
            load(archive, version);
        }
    }

private:
    bool equals(const AuthenticationString& other) const noexcept;
    static void refuse_outside_of_a_start();

    std::vector<std::byte> bytes_;
};

namespace detail {

/// "2", "1:2": which child of which child this process is. Empty for the main process.
std::string identity_text(const std::vector<int>& numbers);

}  // namespace detail
}  // namespace mp
