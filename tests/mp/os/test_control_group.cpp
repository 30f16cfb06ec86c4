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

    int cpus(int all) const { return mp::os::cpus_in_control_groups(all, files()); }

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

TEST_CASE(
    "loky::cpu_count::cgroup_quota: half a processor is one, one and a half are two, "
    "and without a quota there are all",
    "[os]"
) {
    Hierarchies tree("0::/a/b\n");
    CHECK(tree.cpus(8) == 8);
    tree.write("groups/a/b/cpu.max", "max 100000\n");
    CHECK(tree.cpus(8) == 8);
    tree.write("groups/a/b/cpu.max", "50000 100000\n");
    CHECK(tree.cpus(8) == 1);
    tree.write("groups/a/b/cpu.max", "150000 100000\n");
    CHECK(tree.cpus(8) == 2);
    CHECK(tree.cpus(1) == 1);
    tree.write("groups/a/b/cpu.max", "9000000 100000\n");
    CHECK(tree.cpus(8) == 8);
    // The tightest level counts.
    tree.write("groups/a/cpu.max", "300000 100000\n");
    CHECK(tree.cpus(8) == 3);

    Hierarchies divided("3:cpu,cpuacct:/a\n4:memory:/b\n0::/\n");
    CHECK(divided.cpus(8) == 8);
    divided.write("groups/cpu/a/cpu.cfs_quota_us", "-1\n");
    divided.write("groups/cpu/a/cpu.cfs_period_us", "100000\n");
    CHECK(divided.cpus(8) == 8);
    divided.write("groups/cpu/a/cpu.cfs_quota_us", "150000\n");
    CHECK(divided.cpus(8) == 2);
    divided.write("groups/cpu/cpu.cfs_quota_us", "50000\n");
    divided.write("groups/cpu/cpu.cfs_period_us", "100000\n");
    CHECK(divided.cpus(8) == 1);
}

TEST_CASE(
    "loky::cpu_count::cgroup_odd_content: a file without numbers is no limit", "[os]"
) {
    Hierarchies tree("0::/a\n");
    for (const char* const text :
         {"",
          "max",
          "max\n",
          "\n\n",
          "100000",
          "100000\n",
          "100000 0\n",
          "0 100000\n",
          "-1 100000\n",
          "100000 -5\n",
          "many of them\n",
          "nan nan\n",
          "inf 1\n",
          "1e999 1\n"}) {
        CAPTURE(text);
        tree.write("groups/a/cpu.max", text);
        CHECK(tree.cpus(8) == 8);
    }
    Hierarchies divided("3:cpu:/\n");
    divided.write("groups/cpu/cpu.cfs_quota_us", "50000\n");
    CHECK(divided.cpus(8) == 8);
    divided.write("groups/cpu/cpu.cfs_period_us", "");
    CHECK(divided.cpus(8) == 8);
    for (const char* const membership : {"", "\n", "0:\n", "0::a\n", ":::\n"}) {
        CHECK(Hierarchies(membership).cpus(8) == 8);
    }
}
