// SPDX-License-Identifier: BSL-1.0
// number_text: numbers that are not whole, for messages: as the C locale writes them,
// whatever locale the program has set. (std::to_string() is safe for whole ones.)
#pragma once

#include <array>
#include <charconv>
#include <chrono>
#include <string>

namespace mp::detail {

/// "0.05", "1.5e+10": six digits at most.
inline std::string number_text(double number) {
    std::array<char, 32> text;
    const auto written = std::to_chars(
        text.data(), text.data() + text.size(), number, std::chars_format::general, 6
    );
    return {text.data(), written.ptr};
}

/// "0.05 s"
template <class Rep, class Period>
std::string seconds_text(std::chrono::duration<Rep, Period> time) {
    return number_text(std::chrono::duration<double>(time).count()) + " s";
}

}  // namespace mp::detail
