// SPDX-License-Identifier: BSL-1.0
// CheckLineParser: reads the lines that coreutils' and BSD's checksum tools write.
// Threads: one.
#pragma once

#include "digest.hpp"

#include <optional>
#include <string>
#include <string_view>

namespace mpsum {

struct CheckLine {
    std::string name;
    /// The raw digest the file should have.
    std::string digest;
};

/// Accepts what `sha256sum -c` accepts:
///
///     [\]DIGEST  NAME        [\]DIGEST *NAME
///     [\]SHA256 (NAME) = DIGEST
///     DIGEST NAME            old BSD: one blank; never mixed with the first form, so
///                            that " NAME" cannot be passed off as "NAME"
class CheckLineParser {
public:
    explicit CheckLineParser(Algorithm algorithm) : algorithm_(algorithm) {}

    /// Nothing when the line is malformed. Requires: no line end.
    std::optional<CheckLine> parse(std::string_view line);

    /// An empty line or a comment: neither right nor wrong.
    static bool ignorable(std::string_view line);

private:
    enum class Style { unknown, coreutils, old_bsd };

    std::optional<CheckLine> parse_tagged(std::string_view text, bool is_escaped) const;
    std::optional<CheckLine> parse_plain(std::string_view text, bool is_escaped);

    Algorithm algorithm_;
    Style style_ = Style::unknown;
};

}  // namespace mpsum
