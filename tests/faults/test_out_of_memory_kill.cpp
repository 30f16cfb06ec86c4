// SPDX-License-Identifier: BSL-1.0
// A worker that the kernel kills because its control group is out of memory. Real,
// where this process may make such a group.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <filesystem>
#include <fstream>
#include <memory>
#include <string>
#include <vector>

using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using namespace std::chrono_literals;

namespace {

constexpr std::size_t limit = 200UL << 20;

/// Below the group of this process, with a limit on its memory; both kinds of
/// hierarchies.
class SmallGroup {
public:
    SmallGroup() {
        std::ifstream mine("/proc/self/cgroup");
        for (std::string line; std::getline(mine, line);) {
            const auto path = line.substr(line.find(':', line.find(':') + 1) + 1);
            const std::string tail =
                (path == "/" ? "" : path) + "/libmp-test-" + std::to_string(::getpid());
            if (line.find(":memory:") != std::string::npos) {
                try_in("/sys/fs/cgroup/memory" + tail, "/memory.limit_in_bytes");
            } else if (line.rfind("0::", 0) == 0) {
                try_in("/sys/fs/cgroup" + tail, "/memory.max");
            }
        }
    }

    ~SmallGroup() {
        // Who has ended in it leaves it a moment later.
        if (!path_.empty()) {
            test::soon([&] { return ::rmdir(path_.c_str()) == 0 || errno != EBUSY; });
        }
    }

    SmallGroup(const SmallGroup&) = delete;
    SmallGroup& operator=(const SmallGroup&) = delete;

    explicit operator bool() const { return !path_.empty(); }

    bool join() const { return write("/cgroup.procs", std::to_string(::getpid())); }

private:
    void try_in(const std::string& path, const char* limit_file) {
        if (!path_.empty() || ::mkdir(path.c_str(), 0700) != 0) {
            return;
        }
        path_ = path;
        // Where no hierarchy is mounted there are folders, too.
        if (!std::filesystem::exists(path + limit_file) ||
            !write(limit_file, std::to_string(limit))) {
            ::rmdir(path_.c_str());
            path_.clear();
        }
    }

    bool write(const std::string& name, const std::string& text) const {
        std::ofstream file(path_ + name);
        file << text;
        return static_cast<bool>(file.flush());
    }

    std::string path_;
};

/// Leaves a trace in the file that it has begun.
std::size_t eat(const std::string& path) {
    std::ofstream(path, std::ios::app) << 'x';
    std::vector<std::unique_ptr<char[]>> eaten;
    constexpr std::size_t bite = 8UL << 20;
    for (std::size_t all = 0; all < 10 * limit; all += bite) {
        eaten.emplace_back(new char[bite]);
        std::memset(eaten.back().get(), 1, bite);
    }
    return eaten.size();
}

void kill_myself() {
    ::raise(SIGKILL);
}

enum Outcome : int {
    told,
    not_in_group,
    lived,
    no_sigkill,
    not_told,
    too_little,
    told_of_another,
    not_twice
};

int eat_in_the_group(const SmallGroup& group, const mp::Context& context, int workers) {
    if (!group.join()) {
        return not_in_group;
    }
    ProcessPoolExecutor pool(test::on(context, workers, OnWorkerLoss::isolate));
    const test::TempDir folder;
    const std::string path = folder.path() / "begun";
    try {
        // Twice: what is run again has no report, and counts.
        pool.submit({.retries = 1}, eat, path).result(60s);
        return lived;
    } catch (const WorkerLost& lost) {
        if (lost.report().signal != SIGKILL) {
            return no_sigkill;
        }
        if (!lost.report().out_of_memory ||
            std::string(lost.what()).find("OOM killer") == std::string::npos) {
            return not_told;
        }
        if (lost.report().peak_memory_bytes < limit / 2) {
            return too_little;
        }
    }
    if (std::filesystem::file_size(path) != 2) {
        return not_twice;
    }
    // The next one dies of something else.
    try {
        pool.submit(kill_myself).result(60s);
        return lived;
    } catch (const WorkerLost& lost) {
        return lost.report().out_of_memory ? told_of_another : told;
    }
}

}  // namespace

// The sanitizers need more memory than the group has.
TEST_CASE(
    "C12 ray::test_exit_observability::sigkill_hints_oom "
    "ray::test_memory_pressure::oom_retry_budget: a worker that the OOM killer ended "
    "is "
    "told as that, and only that one; its task is run again as often as any",
    "[faults][no-asan][no-tsan]"
) {
    const auto context = each_start_method();
    const int workers = GENERATE(1, 2, 8);
    const SmallGroup group;
    if (!group) {
        WARN("no control group with a limit can be made here");
        return;
    }
    const pid_t child =
        test::fork_child([&] { return eat_in_the_group(group, context, workers); });
    CHECK(test::exit_status(child) == told);
}
