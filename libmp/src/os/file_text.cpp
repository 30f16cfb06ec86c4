// SPDX-License-Identifier: BSL-1.0
#include "os/file_text.hpp"

#include "os/check.hpp"
#include "os/new_fd.hpp"

#include <fcntl.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstddef>

namespace mp::os {

namespace {

/// Its error; 0 without one.
int append_file(std::string& text, const char* path) {
    const UniqueFd file =
        try_new_fd([path] { return ::open(path, O_RDONLY | O_CLOEXEC); });
    if (!file) {
        return last_error().value();
    }
    std::array<char, 4096> part;
    for (;;) {
        const auto got =
            restarting([&] { return ::read(file.get(), part.data(), part.size()); });
        if (got < 0) {
            return last_error().value();
        }
        if (got == 0) {
            return 0;
        }
        text.append(part.data(), static_cast<std::size_t>(got));
    }
}

}  // namespace

std::optional<std::string> text_of_file(const std::string& path) {
    std::string text;
    if (const int error = append_file(text, path.c_str()); error != 0) {
        set_last_error(error);
        return std::nullopt;
    }
    return text;
}

std::string_view Words::next() noexcept {
    rest_.remove_prefix(std::min(rest_.find_first_not_of(separators_), rest_.size()));
    const std::size_t size = std::min(rest_.find_first_of(separators_), rest_.size());
    const std::string_view word = rest_.substr(0, size);
    rest_.remove_prefix(size);
    return word;
}

}  // namespace mp::os
