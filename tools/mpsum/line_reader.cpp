// SPDX-License-Identifier: BSL-1.0
// LineReader: read(2) into one buffer.
#include "line_reader.hpp"

#include "os/check.hpp"

#include <unistd.h>

#include <algorithm>
#include <string_view>
#include <utility>

namespace mpsum {

LineReader::LineReader(mp::UniqueFd fd)
    : owned_(std::move(fd)),
      fd_(owned_.get()),
      buffer_(std::make_unique<char[]>(buffer_size)) {}

LineReader::LineReader()
    : fd_(STDIN_FILENO), buffer_(std::make_unique<char[]>(buffer_size)) {}

std::optional<std::string> LineReader::next() {
    std::string line;
    bool any = false;
    while (begin_ != end_ || refill()) {
        any = true;
        const std::string_view rest(buffer_.get() + begin_, end_ - begin_);
        const std::size_t newline = rest.find('\n');
        const std::string_view piece = rest.substr(0, newline);
        line += piece.substr(0, longest_line - line.size());
        begin_ += piece.size();
        if (newline != std::string_view::npos) {
            ++begin_;
            return line;
        }
    }
    if (!any) {
        return std::nullopt;
    }
    return line;
}

bool LineReader::refill() {
    const auto count = mp::os::check_restarting("read", [&] {
        return ::read(fd_, buffer_.get(), buffer_size);
    });
    begin_ = 0;
    end_ = static_cast<std::size_t>(count);
    return count != 0;
}

}  // namespace mpsum
