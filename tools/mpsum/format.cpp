// SPDX-License-Identifier: BSL-1.0
// The lines of hashing and checking, and the escapes of a name.
#include "format.hpp"

namespace mpsum {

namespace {

constexpr std::string_view problematic = "\\\n\r";

}  // namespace

std::string hexadecimal(std::string_view raw) {
    constexpr std::string_view digits = "0123456789abcdef";
    std::string text;
    text.reserve(raw.size() * 2);
    for (const char c : raw) {
        const auto byte = static_cast<unsigned char>(c);
        text += digits[byte >> 4U];
        text += digits[byte & 15U];
    }
    return text;
}

bool needs_escape(std::string_view name) {
    return name.find_first_of(problematic) != std::string_view::npos;
}

std::string escaped(std::string_view name) {
    std::string text;
    text.reserve(name.size() + 8);
    for (const char c : name) {
        switch (c) {
        case '\\':
            text += "\\\\";
            break;
        case '\n':
            text += "\\n";
            break;
        case '\r':
            text += "\\r";
            break;
        default:
            text += c;
        }
    }
    return text;
}

std::string
digest_line(const LineFormat& format, std::string_view name, std::string_view raw) {
    const bool escape = !format.zero && needs_escape(name);
    const std::string shown = escape ? escaped(name) : std::string(name);
    std::string line = escape ? "\\" : "";
    if (format.tag) {
        line.append(tag_of(format.algorithm)).append(" (").append(shown);
        line.append(") = ").append(hexadecimal(raw));
    } else {
        line.append(hexadecimal(raw)).append("  ").append(shown);
    }
    line += format.zero ? '\0' : '\n';
    return line;
}

std::string verdict_line(std::string_view name, std::string_view verdict) {
    const bool escape = name.find('\n') != std::string_view::npos;
    std::string line = escape ? "\\" : "";
    line.append(escape ? escaped(name) : std::string(name));
    line.append(": ").append(verdict).append("\n");
    return line;
}

}  // namespace mpsum
