// SPDX-License-Identifier: BSL-1.0
// What the control groups of a process leave it, in made-up hierarchies.
#include "os/control_group.hpp"
#include "support/catch.hpp"
#include "support/temp_dir.hpp"

#include <filesystem>
#include <fstream>
#include <limits>
#include <optional>
#include <string>

using mp::os::ControlGroupFiles;
using mp::os::left_in_control_groups;

namespace {

constexpr auto unlimited = std::numeric_limits<std::size_t>::max();

class Hierarchies {
public:
    explicit Hierarchies(const std::string& membership) {
        write("membership", membership);
    }

    void write(const std::string& path, const std::string& text) {
        const auto file = directory_.path() / path;
        std::filesystem::create_directories(file.parent_path());
        std::ofstream(file) << text;
    }

    std::size_t left() const { return left_in_control_groups(files()); }

    std::optional<std::uint64_t> kills() const { return mp::os::oom_kills(files()); }

private:
    ControlGroupFiles files() const {
        return {
            .membership = directory_.path() / "membership",
            .folder = directory_.path() / "groups"};
    }

    test::TempDir directory_;
};

}  // namespace

TEST_CASE("control groups: without a limit all is left", "[os]") {
    Hierarchies none("0::/a\n");
    CHECK(none.left() == unlimited);
    none.write("groups/a/memory.max", "max\n");
    CHECK(none.left() == unlimited);
}

TEST_CASE("control groups: the tightest level counts", "[os]") {
    Hierarchies tree("0::/a/b\n");
    tree.write("groups/a/b/memory.max", "1000\n");
    tree.write("groups/a/b/memory.current", "100\n");
    CHECK(tree.left() == 900);
    tree.write("groups/a/memory.max", "2000\n");
    tree.write("groups/a/memory.current", "1500\n");
    CHECK(tree.left() == 500);
    tree.write("groups/memory.max", "10\n");
    CHECK(tree.left() == 10);
}

TEST_CASE("control groups: cache that can be dropped is free", "[os]") {
    Hierarchies tree("0::/a\n");
    tree.write("groups/a/memory.max", "1000\n");
    tree.write("groups/a/memory.current", "950\n");
    tree.write("groups/a/memory.stat", "anon 50\nactive_file 100\ninactive_file 800\n");
    CHECK(tree.left() == 850);
}

TEST_CASE("control groups: more used than allowed leaves nothing", "[os]") {
    Hierarchies tree("0::/\n");
    tree.write("groups/memory.max", "1000\n");
    tree.write("groups/memory.current", "5000\n");
    CHECK(tree.left() == 0);
}

TEST_CASE("control groups: a hierarchy for memory alone counts as well", "[os]") {
    Hierarchies tree("5:cpu,memory:/x/y\n4:cpuset:/x\n0::/\n");
    tree.write("groups/memory/x/memory.limit_in_bytes", "1000\n");
    tree.write("groups/memory/x/memory.usage_in_bytes", "900\n");
    tree.write(
        "groups/memory/x/memory.stat", "inactive_file 1\ntotal_inactive_file 300\n"
    );
    CHECK(tree.left() == 400);
}

TEST_CASE("control groups: a container sees only its own part of the path", "[os]") {
    Hierarchies tree("0::/machine/container\n");
    tree.write("groups/memory.max", "1000\n");
    tree.write("groups/memory.current", "400\n");
    CHECK(tree.left() == 600);
}

TEST_CASE("control groups: how many processes the kernel killed for memory", "[os]") {
    const Hierarchies none("0::/a\n");
    CHECK_FALSE(none.kills());
    Hierarchies tree("0::/a/b\n");
    tree.write("groups/a/memory.events", "oom 9\noom_kill 9\n");
    CHECK_FALSE(tree.kills());  // those of others
    tree.write("groups/a/b/memory.events", "low 0\noom 4\noom_kill 3\noom_group 1\n");
    CHECK(tree.kills() == 3);
    Hierarchies divided("4:memory:/c\n1:cpu:/x\n0::/\n");
    divided.write(
        "groups/memory/c/memory.oom_control",
        "oom_kill_disable 0\nunder_oom 0\noom_kill 2\n"
    );
    CHECK(divided.kills() == 2);
}
