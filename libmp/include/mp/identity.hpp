// SPDX-License-Identifier: BSL-1.0
// AuthenticationString and Identity: what a process knows about itself and hands on.
// Python:  multiprocessing.process.AuthenticationString, BaseProcess._identity.
// Differs: a key is wiped from memory when it goes, and compared in constant time. It
//          stands in memory once, whatever copies there are of the object, and in no
//          core file. What it was made from is the caller's to wipe.
// Threads: one at a time.  Owns: the key's bytes, together with its copies.
#pragma once

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace mp {

namespace detail {
struct KeyTravel;
}

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
    AuthenticationString& operator=(const AuthenticationString&) = default;

    AuthenticationString(AuthenticationString&& other) noexcept
        : first_(std::move(other.first_)), size_(std::exchange(other.size_, 0)) {}

    AuthenticationString& operator=(AuthenticationString&& other) noexcept {
        first_ = std::move(other.first_);
        size_ = std::exchange(other.size_, 0);
        return *this;
    }

    ~AuthenticationString() = default;

    /// 32 random bytes.
    static AuthenticationString random();

    /// The secret itself.
    std::span<const std::byte> bytes() const noexcept { return {first_.get(), size_}; }

    std::size_t size() const noexcept { return size_; }

    bool empty() const noexcept { return size_ == 0; }

    friend bool
    operator==(const AuthenticationString& a, const AuthenticationString& b) noexcept {
        return a.equals(b);
    }

    template <class Archive>
    void save(Archive& archive, unsigned) const {
        const std::uint32_t index = hand_over();
        archive << index;
    }

    template <class Archive>
    void load(Archive& archive, unsigned) {
        std::uint32_t index = 0;
        archive >> index;
        *this = take_over(index);
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
    friend struct detail::KeyTravel;
    std::uint32_t hand_over() const;
    static AuthenticationString take_over(std::uint32_t index);

    std::shared_ptr<std::byte> first_;
    std::size_t size_ = 0;
};

namespace detail {

/// "2", "1:2": which child of which child this process is. Empty for the main process.
std::string identity_text(const std::vector<int>& numbers);

}  // namespace detail
}  // namespace mp
