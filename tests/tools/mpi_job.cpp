// SPDX-License-Identifier: BSL-1.0
#include "tools/mpi_job.hpp"

#include <sstream>

namespace tools_test {

namespace {

Words split(const char* text) {
    std::istringstream in(text);
    Words words;
    for (std::string word; in >> word;) {
        words.push_back(word);
    }
    return words;
}

}  // namespace

Words in_ranks(int ranks, Words program) {
    Words words = split(MPSUM_MPI_LAUNCHER);
    words.push_back(std::to_string(ranks));
    words.insert(words.end(), program.begin(), program.end());
    return words;
}

ProgramOptions in_job(const TempTree& tree) {
    ProgramOptions options = in(tree);
    for (std::string& variable : split(MPSUM_MPI_ENVIRONMENT)) {
        options.set_environment.push_back(std::move(variable));
    }
    // Through sockets: a job that is ended at once leaves files in /dev/shm otherwise.
    options.set_environment.emplace_back("OMPI_MCA_btl=self,tcp");
    return options;
}

}  // namespace tools_test
