// SPDX-License-Identifier: BSL-1.0
// How coreutils quotes a name: gnulib's shell-escape style, one character at a time.
#include "message.hpp"

#include <algorithm>
#include <array>
#include <cstdio>
#include <cwchar>
#include <cwctype>

namespace mpsum {

namespace {

/// One character of the name in the locale's encoding.
struct Character {
    std::size_t size;
    bool printable;
};

Character character_at(std::string_view text, std::mbstate_t& state) {
    wchar_t wide = 0;
    const std::size_t size = std::mbrtowc(&wide, text.data(), text.size(), &state);
    if (size == 0) {
        return {1, false};
    }
    if (size > text.size()) {  // invalid or incomplete
        state = {};
        return {1, false};
    }
    return {size, std::iswprint(static_cast<std::wint_t>(wide)) != 0};
}

bool means_something_to_a_shell(std::string_view name) {
    // ':' is none of the shell's, but separates the parts of a message.
    constexpr std::string_view anywhere = " !\"$&'()*:;<=>?[\\^`|";
    return name.empty() || name == "{" || name == "}" || name.front() == '#' ||
           name.front() == '~' ||
           name.find_first_of(anywhere) != std::string_view::npos;
}

bool reads_well_in_double_quotes(std::string_view name) {
    constexpr std::string_view others = "%+,-./:@]_ '";
    const std::string_view rest =
        name.empty() || (name[0] != '#' && name[0] != '~') ? name : name.substr(1);
    return name.find('\'') != std::string_view::npos &&
           std::all_of(rest.begin(), rest.end(), [&](char c) {
               return static_cast<unsigned char>(c) >= 0x80 || (c >= '0' && c <= '9') ||
                      (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') ||
                      others.find(c) != std::string_view::npos;
           });
}

void append_escape(std::string& out, unsigned char byte) {
    constexpr std::string_view letters = "abtnvfr";  // \a is 7, \r is 13
    out += '\\';
    if (byte >= 7 && byte <= 13) {
        out += letters[byte - 7U];
        return;
    }
    std::array<char, 4> octal{};
    std::snprintf(octal.data(), octal.size(), "%03o", unsigned{byte});
    out += octal.data();
}

/// 'text'$'\n''text'
std::string quoted_in_pieces(std::string_view name) {
    std::string out = "'";
    bool escaping = false;
    std::mbstate_t state{};
    for (std::size_t at = 0; at != name.size();) {
        const Character next = character_at(name.substr(at), state);
        const std::string_view bytes = name.substr(at, next.size);
        if (next.printable && bytes == "'") {
            out += "'\\''";  // its first quote ends whatever was open
            escaping = false;
        } else if (next.printable) {
            out += escaping ? "''" : "";
            out += bytes;
            escaping = false;
        } else {
            out += escaping ? "" : "'$'";
            for (const char byte : bytes) {
                append_escape(out, static_cast<unsigned char>(byte));
            }
            escaping = true;
        }
        at += next.size;
    }
    out += '\'';
    return out;
}

}  // namespace

std::string shell_quoted(std::string_view name) {
    bool all_printable = true;
    std::mbstate_t state{};
    for (std::size_t at = 0; at != name.size() && all_printable;) {
        const Character next = character_at(name.substr(at), state);
        all_printable = next.printable;
        at += next.size;
    }
    if (all_printable && !means_something_to_a_shell(name)) {
        return std::string(name);
    }
    // Double quotes are easier to read where nothing inside is special to them.
    if (all_printable && reads_well_in_double_quotes(name)) {
        return '"' + std::string(name) + '"';
    }
    return quoted_in_pieces(name);
}

std::string name_message(std::string_view name, std::string_view why) {
    return shell_quoted(name).append(": ").append(why);
}

std::string counted(unsigned long long count, const char* one, const char* many) {
    return std::to_string(count) + ' ' + (count == 1 ? one : many);
}

}  // namespace mpsum
