// SPDX-License-Identifier: BSL-1.0
// Secret: the bytes of a key, once in the memory of a process however many hold it, and
// not in its core file. A forked child has them, too: it goes on with its parent's key.
#pragma once

#include <cstddef>
#include <memory>
#include <span>
#include <utility>

namespace mp::os {

class Secret {
public:
    /// None.
    Secret() = default;

    /// `size` zeros, to be filled before it is copied. In pages that are used for
    /// nothing else and left out of core files. Throws std::system_error,
    /// std::bad_alloc.
    explicit Secret(std::size_t size);

    /// A copy of these bytes.
    explicit Secret(std::span<const std::byte> bytes);

    /// What somebody holds already.
    Secret(std::shared_ptr<std::byte> first, std::size_t size) noexcept
        : first_(std::move(first)), size_(first_ ? size : 0) {}

    std::span<std::byte> bytes() const noexcept { return {first_.get(), size_}; }

    /// The first byte, which keeps all of them; wiped when its last holder goes.
    const std::shared_ptr<std::byte>& first() const noexcept { return first_; }

private:
    std::shared_ptr<std::byte> first_;
    std::size_t size_ = 0;
};

}  // namespace mp::os
