// SPDX-License-Identifier: BSL-1.0
#include "shared/shareable_layout.hpp"

#include <algorithm>
#include <array>
#include <bit>
#include <charconv>
#include <cstring>
#include <limits>
#include <optional>
#include <stdexcept>
#include <string_view>

namespace mp::detail {

namespace {

constexpr std::size_t word = sizeof(std::int64_t);
constexpr std::size_t format_size = 8;

// Each of them is eight bytes.
constexpr std::string_view int_format = "q";
constexpr std::string_view float_format = "d";
constexpr std::string_view bool_format = "xxxxxxx?";
constexpr std::string_view none_format = "xxxxxx?x";

enum class Code : std::int8_t { plain = 0, text = 1, bytes = 2, none = 3 };

using ConstMemory = std::span<const std::byte>;

[[noreturn]] void throw_no_list(const std::string& why) {
    throw std::invalid_argument("this shared memory holds no ShareableList: " + why);
}

[[noreturn]] void throw_damaged(std::size_t position, const std::string& why) {
    throw std::invalid_argument(
        "item " + std::to_string(position) + " of a ShareableList is damaged: " + why
    );
}

template <class T>
T load(ConstMemory memory, std::size_t at) {
    T value{};
    std::memcpy(&value, memory.data() + at, sizeof value);
    return value;
}

template <class T>
void store(std::span<std::byte> memory, std::size_t at, const T& value) {
    std::memcpy(memory.data() + at, &value, sizeof value);
}

/// How many bytes the UTF-8 sequence at the start of `text` has; 0 when it is none.
/// Surrogates, overlong forms and what lies beyond Unicode are none.
std::size_t utf8_sequence(std::string_view text) {
    const auto at = [&](std::size_t i) {
        return static_cast<unsigned char>(text[i]);
    };
    const unsigned first = at(0);
    const std::size_t size = first < 0x80U                      ? 1
                             : first >= 0xc2U && first < 0xe0U  ? 2
                             : first >= 0xe0U && first < 0xf0U  ? 3
                             : first >= 0xf0U && first <= 0xf4U ? 4
                                                                : 0;
    if (size > text.size()) {
        return 0;
    }
    for (std::size_t i = 1; i < size; ++i) {
        if ((at(i) & 0xc0U) != 0x80U) {
            return 0;
        }
    }
    const unsigned second = size > 1 ? at(1) : 0;
    const bool refused =
        (first == 0xe0U && second < 0xa0U) || (first == 0xedU && second >= 0xa0U) ||
        (first == 0xf0U && second < 0x90U) || (first == 0xf4U && second >= 0x90U);
    return refused ? 0 : size;
}

bool is_utf8(std::string_view text) {
    while (!text.empty()) {
        const std::size_t size = utf8_sequence(text);
        if (size == 0) {
            return false;
        }
        text.remove_prefix(size);
    }
    return true;
}

/// The bytes of text and of bytes; nothing for the rest. Throws for what a reader
/// would not get back as it is.
std::optional<ConstMemory> raw(const ShareableItem& item) {
    ConstMemory bytes;
    if (const auto* const text = std::get_if<std::string>(&item.value())) {
        if (!is_utf8(*text)) {
            throw std::invalid_argument(
                "text in a ShareableList must be UTF-8; pass anything else as bytes"
            );
        }
        bytes = std::as_bytes(std::span(*text));
    } else if (const auto* const block = std::get_if<ShareableItem::Bytes>(&item.value())) {
        bytes = *block;
    } else {
        return std::nullopt;
    }
    if (!bytes.empty() && bytes.back() == std::byte{0}) {
        throw std::invalid_argument(
            "a ShareableList cannot keep text or bytes that end in NUL"
        );
    }
    return bytes;
}

// CPython counts characters here, so that its text may not fit.
std::size_t room_for(const ShareableItem& item) {
    const auto bytes = raw(item);
    return bytes ? 8 * (bytes->size() / 8 + 1) : word;
}

std::string text_format(std::size_t size) {
    std::string format = std::to_string(size) + 's';
    if (format.size() > format_size) {
        throw std::invalid_argument(
            "an item of " + std::to_string(size) +
            " bytes is too long for a ShareableList"
        );
    }
    return format;
}

std::string format_for(const ShareableItem& item, std::size_t slot_size) {
    struct Visitor {
        std::size_t size;

        std::string operator()(std::nullptr_t) const {
            return std::string(none_format);
        }

        std::string operator()(bool) const { return std::string(bool_format); }

        std::string operator()(std::int64_t) const { return std::string(int_format); }

        std::string operator()(double) const { return std::string(float_format); }

        std::string operator()(const std::string&) const { return text_format(size); }

        std::string operator()(const ShareableItem::Bytes&) const {
            return text_format(size);
        }
    };

    return std::visit(Visitor{slot_size}, item.value());
}

Code code_for(const ShareableItem& item) {
    if (std::holds_alternative<std::string>(item.value())) {
        return Code::text;
    }
    if (std::holds_alternative<ShareableItem::Bytes>(item.value())) {
        return Code::bytes;
    }
    return std::holds_alternative<std::nullptr_t>(item.value()) ? Code::none
                                                                : Code::plain;
}

/// The size in "24s"; nothing when it is no such format.
std::optional<std::size_t> size_in(std::string_view format) {
    std::size_t size = 0;
    const char* const end = format.data() + format.size();
    const auto [stop, error] = std::from_chars(format.data(), end, size);
    if (error != std::errc() || stop + 1 != end || *stop != 's') {
        return std::nullopt;
    }
    return size;
}

ConstMemory without_trailing_nul(ConstMemory bytes) {
    while (!bytes.empty() && bytes.back() == std::byte{0}) {
        bytes = bytes.first(bytes.size() - 1);
    }
    return bytes;
}

}  // namespace

std::size_t ShareableLayout::formats_begin() const noexcept {
    return word * (count + 2) + data_size;
}

std::size_t ShareableLayout::codes_begin() const noexcept {
    return formats_begin() + format_size * count;
}

std::size_t ShareableLayout::size() const noexcept {
    return codes_begin() + count;
}

ShareableLayout ShareableLayout::of(std::span<const ShareableItem> items) {
    ShareableLayout layout{.count = items.size()};
    for (const ShareableItem& item : items) {
        const std::size_t room = room_for(item);
        static_cast<void>(format_for(item, room));
        layout.data_size += room;
    }
    return layout;
}

ShareableLayout ShareableLayout::in(std::span<const std::byte> memory) {
    if (memory.size() < 2 * word) {
        throw_no_list("it is too small");
    }
    // Each item takes more than this, so no sum below can overflow.
    const auto count = load<std::int64_t>(memory, 0);
    const std::size_t most = memory.size() / (2 * word + 1);
    if (count < 0 || static_cast<std::uint64_t>(count) > most) {
        throw_no_list("it cannot have " + std::to_string(count) + " items");
    }
    ShareableLayout layout{.count = static_cast<std::size_t>(count)};
    // Of a list without data, so far.
    if (layout.size() > memory.size()) {
        throw_no_list("it is too small for " + std::to_string(count) + " items");
    }
    const auto data_size = load<std::int64_t>(memory, word * (layout.count + 1));
    if (data_size < 0 ||
        static_cast<std::uint64_t>(data_size) > memory.size() - layout.size()) {
        throw_no_list(
            "it cannot have " + std::to_string(count) + " items in " +
            std::to_string(data_size) + " bytes"
        );
    }
    layout.data_size = static_cast<std::size_t>(data_size);
    return layout;
}

void ShareableLayout::write(
    std::span<std::byte> memory, std::span<const ShareableItem> items
) const {
    std::size_t offset = 0;
    store(memory, 0, static_cast<std::int64_t>(count));
    for (std::size_t i = 0; i < count; ++i) {
        store(memory, word * (i + 1), static_cast<std::int64_t>(offset));
        offset += room_for(items[i]);
    }
    store(memory, word * (count + 1), static_cast<std::int64_t>(offset));
    for (std::size_t i = 0; i < count; ++i) {
        set(memory, i, items[i]);
    }
}

ShareableLayout::Slot
ShareableLayout::slot(std::span<const std::byte> memory, std::size_t position) const {
    const auto begin = load<std::int64_t>(memory, word * (position + 1));
    const auto end = load<std::int64_t>(memory, word * (position + 2));
    if (begin < 0 || end < begin || static_cast<std::uint64_t>(end) > data_size) {
        throw_damaged(
            position,
            "it stands from " + std::to_string(begin) + " to " + std::to_string(end) +
                " in " + std::to_string(data_size) + " bytes"
        );
    }
    return {
        .begin = word * (count + 2) + static_cast<std::size_t>(begin),
        .size = static_cast<std::size_t>(end - begin),
    };
}

std::string
ShareableLayout::format(std::span<const std::byte> memory, std::size_t position) const {
    const auto field = load<std::array<char, format_size>>(
        memory, formats_begin() + format_size * position
    );
    const auto* const end = std::find(field.begin(), field.end(), '\0');
    return {field.begin(), end};
}

ShareableItem
ShareableLayout::get(std::span<const std::byte> memory, std::size_t position) const {
    const Slot here = slot(memory, position);
    const std::string how = format(memory, position);
    const auto code =
        static_cast<Code>(load<std::int8_t>(memory, codes_begin() + position));
    if (const auto length = size_in(how)) {
        if (*length > here.size) {
            throw_damaged(
                position, "its format " + how + " is longer than its storage"
            );
        }
        const ConstMemory field = memory.subspan(here.begin, *length);
        // A copy of its own: the memory may change while it is looked at.
        ShareableItem::Bytes bytes(field.begin(), field.end());
        bytes.resize(without_trailing_nul(bytes).size());
        if (code == Code::bytes) {
            return bytes;
        }
        std::string text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
        if (code != Code::text || !is_utf8(text)) {
            throw_damaged(position, "it is neither UTF-8 text nor bytes");
        }
        return text;
    }
    if (here.size < word) {
        throw_damaged(position, "its storage is too small for the format " + how);
    }
    if (how == none_format || code == Code::none) {
        return nullptr;
    }
    if (how == int_format) {
        return load<std::int64_t>(memory, here.begin);
    }
    if (how == float_format) {
        return load<double>(memory, here.begin);
    }
    if (how == bool_format) {
        return load<std::uint8_t>(memory, here.begin + word - 1) != 0;
    }
    throw_damaged(position, "its format '" + how + "' is not known");
}

void ShareableLayout::set(
    std::span<std::byte> memory, std::size_t position, const ShareableItem& value
) const {
    const Slot here = slot(memory, position);
    const auto bytes = raw(value);
    if ((bytes ? bytes->size() : word) > here.size) {
        throw std::invalid_argument(
            "the value of " + std::to_string(bytes ? bytes->size() : word) +
            " bytes exceeds available storage of " + std::to_string(here.size)
        );
    }
    const std::string how = format_for(value, here.size);
    const std::span<std::byte> field = memory.subspan(here.begin, here.size);
    if (bytes) {
        std::copy(bytes->begin(), bytes->end(), field.begin());
        std::fill(
            field.begin() + static_cast<std::ptrdiff_t>(bytes->size()),
            field.end(),
            std::byte{0}
        );
    } else if (const auto* const number = std::get_if<std::int64_t>(&value.value())) {
        store(field, 0, *number);
    } else if (const auto* const real = std::get_if<double>(&value.value())) {
        store(field, 0, *real);
    } else {
        const bool* const truth = std::get_if<bool>(&value.value());
        store(field, 0, std::int64_t{0});
        store(field, word - 1, static_cast<std::uint8_t>(truth != nullptr && *truth));
    }
    std::array<char, format_size> filled{};
    std::copy(how.begin(), how.end(), filled.begin());
    store(memory, formats_begin() + format_size * position, filled);
    store(memory, codes_begin() + position, code_for(value));
}

}  // namespace mp::detail
