// SPDX-License-Identifier: BSL-1.0
// The log: its levels, its form, and a stderr that nobody reads.
#include "mp/log.hpp"

#include "os/pipe.hpp"
#include "support/captured.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/log_levels.hpp"
#include "util/diagnostics.hpp"

#include <unistd.h>

#include <string>

using namespace mp;
using test::log_one_of_each;
using test::stderr_of;

TEST_CASE("log: without log_to_stderr() only errors are shown", "[log]") {
    CHECK(stderr_of(log_one_of_each) == "[ERROR/MainProcess] an error\n");
    CHECK(stderr_of([] {
              get_logger().set_level(spdlog::level::off);
              log_one_of_each();
          }).empty());
}

TEST_CASE("log: log_to_stderr() twice does not write twice", "[log]") {
    const std::string text = stderr_of([] {
        log_to_stderr();
        log_to_stderr(spdlog::level::info);
        detail::set_log_process_name("worker-1");
        detail::log_info("once");
    });
    CHECK(text == "[INFO/worker-1] once\n");
}

TEST_CASE("log: the settings of a parent can be taken over", "[log]") {
    // In forked children, so that the logger of this program stays as it is.
    auto [reader, writer] = os::make_pipe();
    CHECK(test::run_in_fork([out = writer.get()] {
              log_to_stderr(spdlog::level::info);
              const int level = detail::log_level();
              return ::write(out, &level, sizeof level) == sizeof level ? 0 : 1;
          }) == 0);
    int level = 0;
    REQUIRE(::read(reader.get(), &level, sizeof level) == sizeof level);
    CHECK(
        stderr_of([&] {
            detail::set_log_level(level);
            log_one_of_each();
        }) == "[ERROR/MainProcess] an error\n[WARNING/MainProcess] a warning\n"
              "[INFO/MainProcess] an info\n"
    );
    const int own = detail::log_level();
    detail::set_log_level(-1);  // nonsense from elsewhere changes nothing
    detail::set_log_level(15);
    CHECK(detail::log_level() == own);
}

TEST_CASE("log: a stderr that nobody reads does not end the process", "[log]") {
    auto [reader, writer] = os::make_pipe();
    reader.reset();
    CHECK(test::run_in_fork([out = writer.get()] {
              ::dup2(out, 2);
              detail::log_error("to nobody");
              ::close(2);
              detail::log_error("to nothing");
              return 0;
          }) == 0);
}
