// SPDX-License-Identifier: BSL-1.0
// Walk: a stack of directories that have been read, and the place in each.
#include "walk.hpp"

#include "message.hpp"
#include "os/check.hpp"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <dirent.h>
#include <memory>
#include <string_view>
#include <system_error>
#include <utility>

namespace mpsum {

namespace {

struct CloseDirectory {
    void operator()(DIR* directory) const noexcept { ::closedir(directory); }
};

Item failure(const std::string& name, std::string_view why) {
    return {Item::Kind::failure, name, name_message(name, why)};
}

Item os_failure(const std::string& name) {
    return failure(name, mp::os::last_error().message());
}

unsigned char type_of(mode_t mode) noexcept {
    return static_cast<unsigned char>(IFTODT(mode));
}

}  // namespace

Walk::Walk(std::vector<std::string> paths) : paths_(std::move(paths)) {}

std::optional<Item> Walk::next() {
    for (;;) {
        std::optional<Item> found;
        if (!levels_.empty()) {
            Level& level = levels_.back();
            if (level.next == level.children.size()) {
                levels_.pop_back();
                continue;
            }
            // Copied out: to descend moves the levels.
            const Child next = std::move(level.children[level.next++]);
            found = child(std::string(level.path), next);
        } else if (next_path_ != paths_.size()) {
            found = argument(paths_[next_path_++]);
        } else {
            return std::nullopt;
        }
        if (found) {
            return found;
        }
    }
}

std::optional<Item> Walk::argument(const std::string& path) {
    if (path == "-") {
        return Item{Item::Kind::standard_input, path, {}};
    }
    struct stat about {};
    if (::stat(path.c_str(), &about) != 0) {
        return os_failure(path);
    }
    if (S_ISDIR(about.st_mode)) {
        return descend(path, 0);
    }
    if (!S_ISREG(about.st_mode) && !S_ISBLK(about.st_mode)) {
        return failure(path, special_file_text);
    }
    return Item{Item::Kind::named, path, {}};
}

std::optional<Item> Walk::child(const std::string& directory, const Child& child) {
    std::string path = directory + child.name;
    unsigned char type = child.type;
    if (type == DT_UNKNOWN) {
        struct stat about {};
        if (::lstat(path.c_str(), &about) != 0) {
            return os_failure(path);
        }
        type = type_of(about.st_mode);
    }
    switch (type) {
    case DT_REG:
        return Item{Item::Kind::walked, std::move(path), {}};
    case DT_DIR:
        // O_NOFOLLOW: it may have become a link since the listing.
        return descend(path, O_NOFOLLOW);
    case DT_LNK:
        return std::nullopt;
    default:
        return failure(path, special_file_text);
    }
}

std::optional<Item> Walk::descend(const std::string& path, int extra_flags) {
    const int fd = ::open(
        path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NONBLOCK | extra_flags
    );
    if (fd < 0) {
        return os_failure(path);
    }
    const std::unique_ptr<DIR, CloseDirectory> listing(::fdopendir(fd));
    if (!listing) {
        const std::error_code error = mp::os::last_error();
        ::close(fd);
        return failure(path, error.message());
    }
    Level level;
    level.path = path.back() == '/' ? path : path + '/';
    mp::os::clear_error();
    while (const dirent* entry = ::readdir(listing.get())) {
        const std::string_view name = entry->d_name;
        if (name != "." && name != "..") {
            level.children.push_back({std::string(name), entry->d_type});
        }
        mp::os::clear_error();
    }
    const std::error_code error = mp::os::last_error();
    std::sort(
        level.children.begin(),
        level.children.end(),
        [](const Child& a, const Child& b) { return a.name < b.name; }
    );
    // What was listed before an error is still hashed.
    levels_.push_back(std::move(level));
    if (error) {
        return failure(path, error.message());
    }
    return std::nullopt;
}

}  // namespace mpsum
