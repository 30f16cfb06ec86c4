// SPDX-License-Identifier: BSL-1.0
#include "mp/shareable_list.hpp"

#include "shared/shareable_layout.hpp"

#include <algorithm>
#include <array>
#include <optional>
#include <stdexcept>

namespace mp {

namespace detail {

void throw_integer_too_large() {
    throw std::invalid_argument("the integer does not fit its type");
}

void throw_item_is_no(const char* wanted, const char* found) {
    throw std::invalid_argument(
        std::string("the item is a ") + found + ", not a " + wanted
    );
}

namespace {

// Every int64 and every double is one of these.
std::optional<long double> number(const ShareableItem::Value& value) {
    if (const bool* const truth = std::get_if<bool>(&value)) {
        return *truth ? 1 : 0;
    }
    if (const auto* const integer = std::get_if<std::int64_t>(&value)) {
        return *integer;
    }
    if (const auto* const real = std::get_if<double>(&value)) {
        return *real;
    }
    return std::nullopt;
}

std::span<std::byte> open_memory_of(const SharedMemory& shm) {
    if (!shm) {
        throw std::invalid_argument("this ShareableList is closed");
    }
    return shm.buf();
}

}  // namespace

}  // namespace detail

const char* ShareableItem::type() const noexcept {
    constexpr std::array names{"NoneType", "bool", "int", "float", "str", "bytes"};
    return names[value_.index()];
}

bool ShareableItem::equals(const ShareableItem& other) const noexcept {
    const auto mine = detail::number(value_);
    const auto others = detail::number(other.value_);
    return mine && others ? *mine == *others : value_ == other.value_;
}

ShareableList::ShareableList(
    ShareableListOptions options, std::span<const ShareableItem> items
) {
    const auto layout = detail::ShareableLayout::of(items);
    count_ = layout.count;
    data_size_ = layout.data_size;
    shm_ = SharedMemory(
        {
            .name = std::move(options.name),
            .create = true,
            .size = layout.size(),
            .track = options.track,
        },
        [&](std::span<std::byte> memory) { layout.write(memory, items); }
    );
}

ShareableList::ShareableList(const ShareableListOptions& options)
    : shm_(SharedMemoryOptions{.name = options.name, .any_user = options.any_user}) {
    look();
}

void ShareableList::look() {
    const auto layout = detail::ShareableLayout::in(detail::open_memory_of(shm_));
    count_ = layout.count;
    data_size_ = layout.data_size;
}

std::size_t ShareableList::checked(std::ptrdiff_t position) const {
    const auto size = static_cast<std::ptrdiff_t>(count_);
    const std::ptrdiff_t from_start = position < 0 ? position + size : position;
    if (from_start < 0 || from_start >= size) {
        throw std::out_of_range(
            "index " + std::to_string(position) +
            " out of range of a ShareableList of " + std::to_string(size)
        );
    }
    return static_cast<std::size_t>(from_start);
}

ShareableItem ShareableList::operator[](std::ptrdiff_t position) const {
    const detail::ShareableLayout layout{.count = count_, .data_size = data_size_};
    return layout.get(detail::open_memory_of(shm_), checked(position));
}

void ShareableList::set(std::ptrdiff_t position, const ShareableItem& value) {
    const detail::ShareableLayout layout{.count = count_, .data_size = data_size_};
    layout.set(detail::open_memory_of(shm_), checked(position), value);
}

std::size_t ShareableList::count(const ShareableItem& value) const {
    return static_cast<std::size_t>(std::count(begin(), end(), value));
}

std::size_t ShareableList::index(const ShareableItem& value) const {
    const auto found = std::find(begin(), end(), value);
    if (found == end()) {
        throw std::invalid_argument("no item of the ShareableList equals that value");
    }
    return static_cast<std::size_t>(std::distance(begin(), found));
}

std::string ShareableList::format() const {
    const detail::ShareableLayout layout{.count = count_, .data_size = data_size_};
    const auto memory = detail::open_memory_of(shm_);
    std::string all;
    for (std::size_t i = 0; i < count_; ++i) {
        all += layout.format(memory, i);
    }
    return all;
}

std::vector<ShareableItem> ShareableList::items() const {
    return {begin(), end()};
}

}  // namespace mp
