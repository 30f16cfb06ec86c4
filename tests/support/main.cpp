// SPDX-License-Identifier: BSL-1.0
// The main of nearly every test. In a spawned child, freeze_support() does the child's
// work and never returns; only the test process itself goes on to Catch2.
#include "mp/spawn.hpp"

#include "support/session.hpp"

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    test::prepare_process();
    return test::run_session(argc, argv);
}
