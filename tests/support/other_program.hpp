// SPDX-License-Identifier: BSL-1.0
// OtherProgram: children run another program, which may be this one, built anew.
#pragma once

#include "mp/forkserver.hpp"
#include "mp/spawn.hpp"

#include "support/catch.hpp"
#include "support/temp_dir.hpp"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>

namespace test {

/// While it lives, children run that program.
class OtherProgram {
public:
    explicit OtherProgram(const std::filesystem::path& program) {
        mp::stop_helpers();
        mp::set_executable(program);
    }

    ~OtherProgram() {
        mp::set_executable("");
        mp::stop_helpers();
    }

    OtherProgram(const OtherProgram&) = delete;
    OtherProgram& operator=(const OtherProgram&) = delete;
};

inline std::filesystem::path copy_of_this_program(const TempDir& folder) {
    std::filesystem::path copy = folder.path() / "copy";
    std::filesystem::copy_file("/proc/self/exe", copy);
    return copy;
}

/// Makes another build of it, as far as its build-id goes.
inline void change_build_id(const std::filesystem::path& program) {
    std::fstream file(program, std::ios::in | std::ios::out | std::ios::binary);
    const std::string content{std::istreambuf_iterator<char>(file), {}};
    // An ELF note: sizes of name and content, kind, name.
    const std::string head("\x04\0\0\0\x14\0\0\0\x03\0\0\0GNU\0", 16);
    const std::size_t at = content.find(head);
    REQUIRE(at != std::string::npos);
    file.clear();
    file.seekp(static_cast<std::streamoff>(at + head.size()));
    file.put(static_cast<char>(content[at + head.size()] ^ 1));
}

}  // namespace test
