// SPDX-License-Identifier: BSL-1.0
// ShareableList: a list of fixed length in shared memory, of numbers, text and bytes.
// Python:  multiprocessing.shared_memory.ShareableList.
// Differs: byte for byte the same memory, so either language reads and writes the
//          other's lists. What CPython would silently lose is refused: text or bytes
//          that end in NUL, and text that is not UTF-8. Text of several bytes a
//          character gets the room that it needs. Memory that holds no list, or one
//          that somebody damaged, is an error of the call that meets it.
// Threads: any for reading; nothing is locked, as in Python: a lock of the program's
//          own has to keep writers apart, in all processes.
// Processes: travels as the SharedMemory that it is in.
// Owns:    as SharedMemory.
// Throws:  std::out_of_range (IndexError), std::invalid_argument (ValueError), and what
//          SharedMemory throws.
#pragma once

#include "mp/shared_memory.hpp"

#include <compare>
#include <concepts>
#include <cstddef>
#include <cstdint>
#include <initializer_list>
#include <iterator>
#include <span>
#include <string>
#include <string_view>
#include <type_traits>
#include <utility>
#include <variant>
#include <vector>

namespace mp {

namespace detail {

template <class T>
concept Character = std::same_as<T, char> || std::same_as<T, wchar_t> ||
    std::same_as<T, char8_t> || std::same_as<T, char16_t> || std::same_as<T, char32_t>;

template <class T>
concept ShareableInteger = std::integral<T> && !std::same_as<T, bool> && !Character<T>;

[[noreturn]] void throw_integer_too_large();
[[noreturn]] void throw_item_is_no(const char* wanted, const char* found);

}  // namespace detail

/// One value of a ShareableList: None, bool, int, float, str or bytes.
class ShareableItem {
public:
    /// Python's bytes.
    using Bytes = std::vector<std::byte>;
    /// Any of the values that a list can hold; the first is Python's None.
    using Value =
        std::variant<std::nullptr_t, bool, std::int64_t, double, std::string, Bytes>;

    ShareableItem() = default;

    // NOLINTBEGIN(google-explicit-constructor): a list is written as {1, "text", true}.
    ShareableItem(std::nullptr_t) {}

    template <std::same_as<bool> Bool>
    ShareableItem(Bool value) : value_(value) {}

    /// Throws std::invalid_argument when it does not fit 64 bits with a sign.
    template <detail::ShareableInteger Int>
    ShareableItem(Int value) : value_(static_cast<std::int64_t>(value)) {
        if (!std::in_range<std::int64_t>(value)) {
            detail::throw_integer_too_large();
        }
    }

    template <std::floating_point Float>
    ShareableItem(Float value) : value_(static_cast<double>(value)) {}

    ShareableItem(const char* text) : value_(std::string(text)) {}

    ShareableItem(std::string_view text) : value_(std::string(text)) {}

    ShareableItem(std::string text) : value_(std::move(text)) {}

    ShareableItem(std::span<const std::byte> bytes)
        : value_(Bytes(bytes.begin(), bytes.end())) {}

    ShareableItem(Bytes bytes) : value_(std::move(bytes)) {}

    // NOLINTEND(google-explicit-constructor)

    /// The value, to look at with std::get and std::visit.
    const Value& value() const noexcept { return value_; }

    /// "NoneType", "bool", "int", "float", "str" or "bytes".
    const char* type() const noexcept;

    /// Throws std::invalid_argument when it is of another type, or does not fit T.
    template <class T>
    T as() const {
        if constexpr (detail::ShareableInteger<T>) {
            const auto number = get<std::int64_t>("int");
            if (!std::in_range<T>(number)) {
                detail::throw_integer_too_large();
            }
            return static_cast<T>(number);
        } else if constexpr (std::floating_point<T>) {
            return static_cast<T>(get<double>("float"));
        } else if constexpr (std::same_as<T, bool>) {
            return get<bool>("bool");
        } else if constexpr (std::same_as<T, std::string>) {
            return get<std::string>("str");
        } else if constexpr (std::same_as<T, std::nullptr_t>) {
            return get<std::nullptr_t>("NoneType");
        } else {
            static_assert(
                std::same_as<T, Bytes>,
                "a ShareableList holds integers, floating-point numbers, bool, "
                "std::string, std::vector<std::byte> and std::nullptr_t"
            );
            return get<Bytes>("bytes");
        }
    }

    /// As in Python: numbers by their value, whatever their types.
    friend bool operator==(const ShareableItem& a, const ShareableItem& b) noexcept {
        return a.equals(b);
    }

private:
    template <class T>
    const T& get(const char* wanted) const {
        const T* const found = std::get_if<T>(&value_);
        if (found == nullptr) {
            detail::throw_item_is_no(wanted, type());
        }
        return *found;
    }

    bool equals(const ShareableItem& other) const noexcept;

    Value value_;
};

struct ShareableListOptions {
    /// To attach to; with items, of the list to be made.
    std::string name = {};
    /// As of SharedMemory.
    bool track = true;
    /// As of SharedMemory.
    bool any_user = false;
};

class ShareableList {
public:
    /// Closed; something to assign to.
    ShareableList() noexcept = default;

    /// A new list under a random name, or under one of the caller's.
    ShareableList(std::initializer_list<ShareableItem> items)
        : ShareableList(
              ShareableListOptions(), std::span(items.begin(), items.size())
          ) {}

    explicit ShareableList(std::span<const ShareableItem> items)
        : ShareableList(ShareableListOptions(), items) {}

    ShareableList(
        ShareableListOptions options, std::initializer_list<ShareableItem> items
    )
        : ShareableList(std::move(options), std::span(items.begin(), items.size())) {}

    ShareableList(ShareableListOptions options, std::span<const ShareableItem> items);

    /// Attaches to the list of that name. Throws std::invalid_argument when what stands
    /// there is no list.
    explicit ShareableList(const ShareableListOptions& options);

    std::size_t size() const noexcept { return count_; }

    /// The item at `position`, from the end when negative. Throws std::out_of_range,
    /// std::invalid_argument when it is not a T.
    template <class T>
    T at(std::ptrdiff_t position) const {
        return (*this)[position].template as<T>();
    }

    ShareableItem operator[](std::ptrdiff_t position) const;

    /// The new value may be of another type. Throws std::invalid_argument when it
    /// exceeds the item's storage, which never grows: then nothing has changed.
    void set(std::ptrdiff_t position, const ShareableItem& value);

    /// How many items equal it.
    std::size_t count(const ShareableItem& value) const;

    /// Of the first item that equals it. Throws std::invalid_argument when none does.
    std::size_t index(const ShareableItem& value) const;

    /// The items' struct formats, as Python's `format`.
    std::string format() const;

    /// A copy of all items.
    std::vector<ShareableItem> items() const;

    /// To close() and unlink().
    SharedMemory& shm() noexcept { return shm_; }

    const SharedMemory& shm() const noexcept { return shm_; }

    class Iterator {
    public:
        using iterator_category = std::input_iterator_tag;
        using value_type = ShareableItem;
        using difference_type = std::ptrdiff_t;
        using pointer = void;
        using reference = ShareableItem;

        Iterator() = default;

        Iterator(const ShareableList& list, std::size_t position)
            : list_(&list), position_(position) {}

        ShareableItem operator*() const {
            return (*list_)[static_cast<std::ptrdiff_t>(position_)];
        }

        Iterator& operator++() {
            ++position_;
            return *this;
        }

        Iterator operator++(int) {
            const Iterator before = *this;
            ++position_;
            return before;
        }

        friend bool operator==(const Iterator&, const Iterator&) = default;

    private:
        const ShareableList* list_ = nullptr;
        std::size_t position_ = 0;
    };

    Iterator begin() const { return {*this, 0}; }

    Iterator end() const { return {*this, size()}; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& shm_;
        if constexpr (!Archive::is_saving::value) {
            look();
        }
    }

private:
    /// Finds out what stands in the memory.
    void look();
    std::size_t checked(std::ptrdiff_t position) const;

    SharedMemory shm_;
    // Any program may change the memory, so what was checked is kept here.
    std::size_t count_ = 0;
    std::size_t data_size_ = 0;
};

}  // namespace mp
