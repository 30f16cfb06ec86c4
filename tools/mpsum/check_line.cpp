// SPDX-License-Identifier: BSL-1.0
// CheckLineParser: the two forms of a line, and their escapes.
#include "check_line.hpp"

#include <algorithm>

namespace mpsum {

namespace {

bool is_blank(char c) {
    return c == ' ' || c == '\t';
}

void skip_blanks(std::string_view& text) {
    while (!text.empty() && is_blank(text.front())) {
        text.remove_prefix(1);
    }
}

int nibble(char c) {
    if (c >= '0' && c <= '9') {
        return c - '0';
    }
    if (c >= 'a' && c <= 'f') {
        return c - 'a' + 10;
    }
    return c >= 'A' && c <= 'F' ? c - 'A' + 10 : -1;
}

/// The raw digest, when the text is exactly that many hexadecimal digits.
std::optional<std::string> raw_digest(std::string_view text, Algorithm algorithm) {
    if (text.size() != 2 * digest_size(algorithm)) {
        return std::nullopt;
    }
    std::string raw;
    for (std::size_t i = 0; i != text.size(); i += 2) {
        const int high = nibble(text[i]);
        const int low = nibble(text[i + 1]);
        if (high < 0 || low < 0) {
            return std::nullopt;
        }
        raw += static_cast<char>(high * 16 + low);
    }
    return raw;
}

/// A name ends at a NUL: no file has one in its name, and files written by --zero show
/// it to us.
std::string until_nul(std::string_view text) {
    return std::string(text.substr(0, text.find('\0')));
}

std::optional<std::string> unescaped(std::string_view text) {
    std::string name;
    for (std::size_t i = 0; i != text.size(); ++i) {
        if (text[i] == '\0') {
            return std::nullopt;
        }
        if (text[i] != '\\') {
            name += text[i];
            continue;
        }
        if (++i == text.size()) {
            return std::nullopt;
        }
        switch (text[i]) {
        case '\\':
            name += '\\';
            break;
        case 'n':
            name += '\n';
            break;
        case 'r':
            name += '\r';
            break;
        default:
            return std::nullopt;
        }
    }
    return name;
}

std::optional<CheckLine>
make_line(std::string_view name, bool is_escaped, std::optional<std::string> digest) {
    if (!digest) {
        return std::nullopt;
    }
    if (!is_escaped) {
        return CheckLine{until_nul(name), *std::move(digest)};
    }
    std::optional<std::string> plain = unescaped(name);
    if (!plain) {
        return std::nullopt;
    }
    return CheckLine{*std::move(plain), *std::move(digest)};
}

}  // namespace

bool CheckLineParser::ignorable(std::string_view line) {
    return line.empty() || line.front() == '#';
}

std::optional<CheckLine> CheckLineParser::parse(std::string_view line) {
    skip_blanks(line);
    const bool is_escaped = !line.empty() && line.front() == '\\';
    if (is_escaped) {
        line.remove_prefix(1);
    }
    const std::string_view tag = tag_of(algorithm_);
    if (line.substr(0, tag.size()) == tag) {
        return parse_tagged(line.substr(tag.size()), is_escaped);
    }
    return parse_plain(line, is_escaped);
}

std::optional<CheckLine>
CheckLineParser::parse_tagged(std::string_view text, bool is_escaped) const {
    if (!text.empty() && text.front() == ' ') {
        text.remove_prefix(1);
    }
    if (text.empty() || text.front() != '(') {
        return std::nullopt;
    }
    text.remove_prefix(1);
    const std::size_t end = text.rfind(')');  // the name may hold others
    if (end == std::string_view::npos) {
        return std::nullopt;
    }
    const std::string_view name = text.substr(0, end);
    text.remove_prefix(end + 1);
    skip_blanks(text);
    if (text.empty() || text.front() != '=') {
        return std::nullopt;
    }
    text.remove_prefix(1);
    skip_blanks(text);
    return make_line(name, is_escaped, raw_digest(text, algorithm_));
}

std::optional<CheckLine>
CheckLineParser::parse_plain(std::string_view text, bool is_escaped) {
    const std::size_t length = 2 * digest_size(algorithm_);
    if (text.size() < length + 2 || !is_blank(text[length])) {
        return std::nullopt;
    }
    std::optional<std::string> digest = raw_digest(text.substr(0, length), algorithm_);
    if (!digest) {
        return std::nullopt;
    }
    std::string_view name = text.substr(length + 1);
    const bool has_mark = name.size() > 1 && (name[0] == ' ' || name[0] == '*');
    if (!has_mark) {
        if (style_ == Style::coreutils) {
            return std::nullopt;
        }
        style_ = Style::old_bsd;
    } else if (style_ != Style::old_bsd) {
        style_ = Style::coreutils;
        name.remove_prefix(1);
    }
    return make_line(name, is_escaped, std::move(digest));
}

}  // namespace mpsum
