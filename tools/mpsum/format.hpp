// SPDX-License-Identifier: BSL-1.0
// The lines that mpsum prints for a file: byte for byte those of coreutils.
// Threads: any.
#pragma once

#include "digest.hpp"

#include <string>
#include <string_view>

namespace mpsum {

struct LineFormat {
    Algorithm algorithm = Algorithm::sha256;
    bool tag = false;   ///< "SHA256 (name) = digest"
    bool zero = false;  ///< lines end with NUL and names are not escaped
};

/// The digest in lowercase hexadecimal.
std::string hexadecimal(std::string_view raw);

/// True for a name that would break the line it stands in.
bool needs_escape(std::string_view name);

/// `\` becomes `\\`, a newline `\n`, a carriage return `\r`.
std::string escaped(std::string_view name);

/// The whole line, its end included. A name that needs it is escaped, and the line then
/// begins with a backslash.
std::string
digest_line(const LineFormat& format, std::string_view name, std::string_view raw);

/// "NAME: verdict\n": what a check prints. Here only a name with a newline is escaped,
/// as coreutils 9.1 does.
std::string verdict_line(std::string_view name, std::string_view verdict);

}  // namespace mpsum
