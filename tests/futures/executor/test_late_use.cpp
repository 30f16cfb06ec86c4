// SPDX-License-Identifier: BSL-1.0
// Executors, processes, queues and locks in exit handlers, static destructors and
// thread_local destructors: they work, or say StateError.
#include "support/catch.hpp"
#include "support/program.hpp"

#include <sstream>
#include <string>

TEST_CASE("late use: it works, or is StateError", "[executor]") {
    const std::string method = GENERATE("fork", "spawn", "forkserver");
    const auto ended = test::run({MP_LATE_USE, method});
    INFO(method << ":\n" << ended.out << ended.err);
    CHECK(ended.status == 0);
    CHECK(ended.err.empty());
    int lines = 0;
    int works = 0;
    std::istringstream text(ended.out);
    for (std::string line; std::getline(text, line); ++lines) {
        const auto answer = line.substr(line.rfind(':') + 2);
        CHECK((answer == "1" || answer == "StateError"));
        works += answer == "1" ? 1 : 0;
    }
    // main, the thread, main's thread, the handler and two destructors.
    CHECK(lines == 3 + 5 * 5);
    // In the thread everything works.
    CHECK(works >= 3 + 5);
}
