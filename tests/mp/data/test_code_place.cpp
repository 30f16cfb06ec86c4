// SPDX-License-Identifier: BSL-1.0
// symbol_at: names of functions out of files, whatever the files are by now.
#include "data/code_place.hpp"
#include "os/exec.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"

#include <sys/stat.h>

#include <cstdint>
#include <filesystem>
#include <string>

namespace fs = std::filesystem;

using mp::detail::CodePlace;
using mp::detail::symbol_at;

extern "C" [[gnu::noinline]] int a_function_with_a_name(int x) {
    return x + 1;
}

namespace {

CodePlace place_of_function() {
    const auto address = reinterpret_cast<std::uintptr_t>(&a_function_with_a_name);
    const auto code = mp::detail::loaded_code_at(address);
    REQUIRE(code);
    return {
        .path = mp::os::own_file(),
        .build_id = std::string(code->build_id),
        .offset = address - code->base};
}

}  // namespace

TEST_CASE("symbol_at: names a function", "[code]") {
    CHECK(symbol_at(place_of_function()) == "a_function_with_a_name");
}

TEST_CASE("symbol_at: another file, or none, names nothing", "[code]") {
    CodePlace place = place_of_function();
    place.build_id.back() = static_cast<char>(place.build_id.back() + 1);
    CHECK(symbol_at(place).empty());
    place = place_of_function();
    const test::TempDir folder;
    place.path = folder.path();
    CHECK(symbol_at(place).empty());
    place.path = folder.path() / "missing";
    CHECK(symbol_at(place).empty());
    place.path = folder.path() / "fifo";
    REQUIRE(::mkfifo(place.path.c_str(), 0600) == 0);
    CHECK(symbol_at(place).empty());  // and nothing waits for a writer
    place.path = "/dev/zero";
    CHECK(symbol_at(place).empty());
}

TEST_CASE("symbol_at: a file that was cut short names nothing", "[code]") {
    CodePlace place = place_of_function();
    const test::TempDir folder;
    const fs::path copy = folder.path() / "copy";
    fs::copy_file(place.path, copy);
    place.path = copy;
    CHECK(symbol_at(place) == "a_function_with_a_name");
    for (auto size = fs::file_size(copy) / 2; size > 0; size /= 3) {
        fs::resize_file(copy, size);
        CHECK(symbol_at(place).empty());
    }
}
