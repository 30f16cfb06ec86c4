// SPDX-License-Identifier: BSL-1.0
// CheckFile: lines become items; the verdicts and warnings are coreutils', word by
// word.
#include "check_file.hpp"

#include "console.hpp"
#include "format.hpp"
#include "message.hpp"
#include "os/check.hpp"
#include "outcome.hpp"

#include <fcntl.h>
#include <sys/stat.h>

#include <system_error>
#include <utility>

namespace mpsum {

namespace {

LineReader open_list(const std::string& name) {
    if (name == "-") {
        return LineReader();
    }
    return LineReader(mp::UniqueFd(mp::os::check_restarting("open", [&] {
        return ::open(name.c_str(), O_RDONLY | O_CLOEXEC | O_NOCTTY);
    })));
}

}  // namespace

CheckFile::CheckFile(std::string name, Algorithm algorithm, Console& console)
    : name_(name == "-" ? "standard input" : name),
      is_stdin_(name == "-"),
      lines_(open_list(name)),
      parser_(algorithm),
      console_(console) {}

bool CheckFile::can_be_read_twice() const {
    struct stat about {};
    return !is_stdin_ && ::stat(name_.c_str(), &about) == 0 && S_ISREG(about.st_mode);
}

std::optional<Item> CheckFile::next() {
    try {
        while (std::optional<std::string> line = lines_.next()) {
            if (!line->empty() && line->back() == '\r') {
                line->pop_back();
            }
            if (CheckLineParser::ignorable(*line)) {
                continue;
            }
            std::optional<CheckLine> parsed = parser_.parse(*line);
            const bool from_stdin = parsed && parsed->name == "-";
            if (!parsed || (from_stdin && is_stdin_)) {
                ++malformed_;
                continue;
            }
            ++listed_;
            return Item{
                from_stdin ? Item::Kind::standard_input : Item::Kind::named,
                std::move(parsed->name),
                std::move(parsed->digest)};
        }
    } catch (const std::system_error&) {
        unreadable_ = true;
    }
    return std::nullopt;
}

void CheckFile::take(const Item& item, const FileResult& result) {
    if (result.outcome != Outcome::hashed) {
        ++failed_;
        console_.message(name_message(item.name, reason(result)));
        console_.print(verdict_line(item.name, "FAILED open or read"));
    } else if (result.text == item.note) {
        ++matched_;
        console_.print(verdict_line(item.name, "OK"));
    } else {
        ++mismatched_;
        console_.print(verdict_line(item.name, "FAILED"));
    }
}

bool CheckFile::finish() {
    if (unreadable_) {
        console_.message(name_message(name_, "read error"));
        return false;
    }
    if (listed_ == 0) {
        console_.message(
            name_message(name_, "no properly formatted checksum lines found")
        );
        return false;
    }
    const auto warn = [&](std::uint64_t count, const char* one, const char* many) {
        if (count != 0) {
            console_.message("WARNING: " + counted(count, one, many));
        }
    };
    warn(malformed_, "line is improperly formatted", "lines are improperly formatted");
    warn(failed_, "listed file could not be read", "listed files could not be read");
    warn(
        mismatched_,
        "computed checksum did NOT match",
        "computed checksums did NOT match"
    );
    return matched_ != 0 && mismatched_ == 0 && failed_ == 0;
}

}  // namespace mpsum
