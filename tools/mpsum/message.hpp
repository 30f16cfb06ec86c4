// SPDX-License-Identifier: BSL-1.0
// The words of mpsum's messages, spelled as coreutils spells them.
// Threads: any.
#pragma once

#include <string>
#include <string_view>

namespace mpsum {

inline constexpr std::string_view special_file_text =
    "Not a regular file";  // a FIFO, a socket or a character device

/// `name` as a shell would read it back, left alone where that is unambiguous:
/// plain, 'two words', "it's", 'a'$'\n''b'. What can be printed depends on LC_CTYPE.
std::string shell_quoted(std::string_view name);

/// "NAME: why", with the name quoted when it needs to be.
std::string name_message(std::string_view name, std::string_view why);

/// "1 file" or "7 files".
std::string counted(unsigned long long count, const char* one, const char* many);

}  // namespace mpsum
