// SPDX-License-Identifier: BSL-1.0
// Catch2 itself, and the session that runs a program's cases.
#define CATCH_CONFIG_RUNNER
// Its handlers would run in forked children, too; the watchdog has its own. Of version
// 2 this says all; version 3 is a library, see below.
#define CATCH_CONFIG_NO_POSIX_SIGNALS
// What stands before a name's colon has to fit: the ids of a case may be long.
#define CATCH_CONFIG_CONSOLE_WIDTH 200
#include "support/session.hpp"

#include "mp/detail/shared_block.hpp"

#include "support/catch.hpp"
#include "support/leaks.hpp"
#include "support/watchdog.hpp"
#include "util/parent_watch.hpp"

#if CATCH_VERSION_MAJOR >= 3

// A program's own functions come before a library's.
namespace Catch {

FatalConditionHandler::FatalConditionHandler() = default;
FatalConditionHandler::~FatalConditionHandler() = default;
void FatalConditionHandler::engage_platform() {}
void FatalConditionHandler::disengage_platform() noexcept {}

}  // namespace Catch

namespace {

// Newer ones mix the cases, and call it a failure that a filter leaves none.
void run_as_version_2(Catch::Session& session) {
    session.configData().runOrder = Catch::TestRunOrder::Declared;
    session.configData().allowZeroTests = true;
}

}  // namespace

#else

namespace {

void run_as_version_2(Catch::Session&) {}

}  // namespace

#endif

/// What ThreadSanitizer is not to tell, if this program is built with it. An executor
/// of Asio's that is shared counts its holders with a fence, and libstdc++, which is
/// not instrumented, those of an exception: it sees neither, and takes the end of the
/// last holder for a race with what another did before.
extern "C" const char* __tsan_default_suppressions();

extern "C" const char* __tsan_default_suppressions() {
    return "race:boost::asio::execution::detail::shared_target_executor\n"
           "race:std::__exception_ptr::exception_ptr::_M_release\n"
           "race:std::logic_error::~logic_error\n"
           "race:std::runtime_error::~runtime_error\n";
}

namespace test {

void prepare_process() {
    // The pipe that tells children of this process's end lasts as long as the process:
    // made now, no case is charged with it.
    mp::detail::watch_pipe_for_children();
    // So do the table of processes and the first arena of shared memory.
    mp::detail::SharedBlock::allocate(1);
    install_watchdog();
}

int run_session(int argc, char** argv) {
    Catch::Session session;
    run_as_version_2(session);
    const int failed = session.run(argc, argv);
    return failed == 0 && leaks_found() ? 1 : failed;
}

}  // namespace test
