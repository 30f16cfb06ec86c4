// SPDX-License-Identifier: BSL-1.0
// TempTree: a TempDir, and what tests make in it.
#pragma once

#include "support/temp_dir.hpp"

#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <stdexcept>
#include <string>
#include <string_view>

namespace test {

class TempTree {
public:
    const std::string& path() const { return path_; }

    std::string operator/(std::string_view name) const {
        return path_ + '/' + std::string(name);
    }

    /// A file with that content; returns its path.
    std::string file(std::string_view name, std::string_view content) const {
        const std::string path = *this / name;
        std::filesystem::create_directories(std::filesystem::path(path).parent_path());
        std::ofstream(path, std::ios::binary) << content;
        return path;
    }

    /// A file of `size` zeros that needs no room on the disk.
    std::string sparse(std::string_view name, off_t size) const {
        std::string path = file(name, "");
        if (::truncate(path.c_str(), size) != 0) {
            throw std::runtime_error("truncate failed: " + path);
        }
        return path;
    }

    std::string directory(std::string_view name) const {
        std::string path = *this / name;
        std::filesystem::create_directories(path);
        return path;
    }

    std::string link(std::string_view name, const std::string& target) const {
        std::string path = *this / name;
        std::filesystem::create_symlink(target, path);
        return path;
    }

    std::string fifo(std::string_view name) const {
        std::string path = *this / name;
        if (::mkfifo(path.c_str(), 0600) != 0) {
            throw std::runtime_error("mkfifo failed: " + path);
        }
        return path;
    }

private:
    const TempDir dir_;
    const std::string path_ = dir_.path().string();
};

}  // namespace test
