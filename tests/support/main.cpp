// SPDX-License-Identifier: BSL-1.0
// The main of every test. In a spawned child, freeze_support() does the child's work
// and never returns; only the test process itself goes on to Catch2.
#define CATCH_CONFIG_RUNNER
// Its handlers would run in forked children, too; the watchdog has its own.
#define CATCH_CONFIG_NO_POSIX_SIGNALS
#include "support/catch.hpp"
#include "support/leaks.hpp"
#include "support/sanitizer.hpp"
#include "support/watchdog.hpp"

#if __has_include("mp/spawn.hpp")
#include "mp/spawn.hpp"
#endif

#include <thread>

int main(int argc, char** argv) {
#if __has_include("mp/spawn.hpp")
    mp::freeze_support(argc, argv);
#endif
    if (support::under_tsan) {
        // TSan starts a thread of its own beside the first one; before any case looks.
        std::thread([] {}).join();
    }
    support::install_watchdog();
    const int failed = Catch::Session().run(argc, argv);
    return failed == 0 && support::leaks_found() ? 1 : failed;
}
