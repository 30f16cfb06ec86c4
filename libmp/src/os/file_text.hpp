// SPDX-License-Identifier: BSL-1.0
// file_text: what stands in the small files by which the system tells of itself, as in
// /proc, and the words and numbers in it. A file stream follows the program's locale,
// in which a number may be written otherwise, and a program that another thread starts
// meanwhile inherits its descriptor.
#pragma once

#include <charconv>
#include <optional>
#include <string>
#include <string_view>
#include <system_error>

namespace mp::os {

/// All that stands in the file. Nothing when it cannot be read: last_error() says why.
std::optional<std::string> text_of_file(const std::string& path);

/// The words of a text, from the first one on. The text lives as long.
class Words {
public:
    /// Between two words there is at least one of `separators`.
    explicit Words(
        std::string_view text, std::string_view separators = " \t\n"
    ) noexcept
        : rest_(text), separators_(separators) {}

    /// The next one; empty behind the last one.
    std::string_view next() noexcept;

    /// The next one, if it is such a number and nothing else.
    template <class Int>
    std::optional<Int> next_number() noexcept {
        const std::string_view word = next();
        const char* const end = word.data() + word.size();
        Int number = 0;
        const auto read = std::from_chars(word.data(), end, number);
        if (word.empty() || read.ec != std::errc() || read.ptr != end) {
            return std::nullopt;
        }
        return number;
    }

private:
    std::string_view rest_;
    std::string_view separators_;
};

/// The number with which a file begins. Nothing when it cannot be read, or begins
/// otherwise.
template <class Int>
std::optional<Int> number_in_file(const std::string& path) {
    const auto text = text_of_file(path);
    return text ? Words(*text).next_number<Int>() : std::nullopt;
}

}  // namespace mp::os
