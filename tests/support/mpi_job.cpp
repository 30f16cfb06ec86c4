// SPDX-License-Identifier: BSL-1.0
#include "support/mpi_job.hpp"

#include "support/proc.hpp"
#include "support/processes.hpp"

#include <algorithm>
#include <fstream>
#include <sstream>
#include <string_view>

namespace test {

namespace {

std::vector<std::string> split(const char* text) {
    std::istringstream in(text);
    std::vector<std::string> words;
    for (std::string word; in >> word;) {
        words.push_back(word);
    }
    return words;
}

/// What the launcher told that process, and those that it has forked.
bool is_of_rank(pid_t pid, int rank) {
    std::ifstream file("/proc/" + std::to_string(pid) + "/environ");
    for (std::string variable; std::getline(file, variable, '\0');) {
        for (const std::string_view name : {"OMPI_COMM_WORLD_RANK=", "PMI_RANK="}) {
            if (variable == std::string(name) + std::to_string(rank)) {
                return true;
            }
        }
    }
    return false;
}

}  // namespace

std::vector<std::string> in_ranks(int ranks, const std::vector<std::string>& program) {
    std::vector<std::string> words = split(MP_TEST_MPI_LAUNCHER);
    words.push_back(std::to_string(ranks));
    words.insert(words.end(), program.begin(), program.end());
    return words;
}

ProgramOptions in_job(const TempTree& tree) {
    ProgramOptions options;
    options.directory = tree.path();
    options.set_environment = split(MP_TEST_MPI_ENVIRONMENT);
    // Through sockets: a job that is ended at once leaves files in /dev/shm otherwise.
    options.set_environment.emplace_back("OMPI_MCA_btl=self,tcp");
    options.set_environment.push_back("TMPDIR=" + tree.path());
    options.set_environment.emplace_back("LC_ALL=C");
    return options;
}

std::optional<pid_t> pid_of_rank(pid_t launcher, int rank) {
    std::vector<pid_t> found = descendants(launcher);
    std::erase_if(found, [&](pid_t pid) { return !is_of_rank(pid, rank); });
    for (const pid_t pid : found) {
        ProcStat stat;
        if (read_stat(pid, stat) &&
            std::find(found.begin(), found.end(), stat.parent) == found.end()) {
            return pid;
        }
    }
    return std::nullopt;
}

}  // namespace test
