// SPDX-License-Identifier: BSL-1.0
// A program with static objects: each process destroys what it made, once, the fork
// server included, and nothing of another.
#include "mp/start_method.hpp"

#include "support/catch.hpp"
#include "support/program.hpp"
#include "support/temp_dir.hpp"

#include <fstream>
#include <map>
#include <string>
#include <utility>

TEST_CASE("static objects: each process destroys what it made, once", "[process]") {
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    CAPTURE(method);
    const test::TempDir dir;
    const std::string notes = (dir.path() / "notes").string();
    const auto finished =
        test::run({STATIC_OBJECT, method}, {.set_environment = {"NOTES=" + notes}});
    CHECK(finished.err.empty());
    CHECK(finished.status == 0);
    std::map<std::string, std::pair<int, int>> made_and_destroyed;
    std::ifstream file(notes);
    std::string what;
    std::string pid;
    while (file >> what >> pid) {
        REQUIRE((what == "made" || what == "destroyed"));
        auto& [made, destroyed] = made_and_destroyed[pid];
        (what == "made" ? made : destroyed) += 1;
    }
    CHECK(made_and_destroyed.size() >= 4);
    for (const auto& [process, counts] : made_and_destroyed) {
        CAPTURE(process);
        CHECK(counts.first == counts.second);
    }
}
