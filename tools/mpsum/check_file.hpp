// SPDX-License-Identifier: BSL-1.0
// CheckFile: one checksum file: its lines as items, the verdicts as output.
// Threads: one.
#pragma once

#include "check_line.hpp"
#include "item.hpp"
#include "line_reader.hpp"

#include <cstdint>
#include <optional>
#include <string>

namespace mpsum {

class Console;

class CheckFile final : public Source, public Sink {
public:
    /// `name` may be "-". Throws: std::system_error when it cannot be opened.
    CheckFile(std::string name, Algorithm algorithm, Console& console);

    /// True for a regular file: a census may count its lines meanwhile.
    bool can_be_read_twice() const;

    /// Malformed lines are counted and passed over.
    std::optional<Item> next() override;

    /// Prints "NAME: OK", "NAME: FAILED" or "NAME: FAILED open or read".
    void take(const Item& item, const FileResult& result) override;

    /// Prints the closing warnings. True when every listed file is right, and there was
    /// one.
    bool finish();

private:
    std::string name_;
    bool is_stdin_;
    LineReader lines_;
    CheckLineParser parser_;
    Console& console_;
    bool unreadable_ = false;
    std::uint64_t malformed_ = 0;
    std::uint64_t listed_ = 0;
    std::uint64_t matched_ = 0;
    std::uint64_t mismatched_ = 0;
    std::uint64_t failed_ = 0;
};

}  // namespace mpsum
