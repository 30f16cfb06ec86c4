// SPDX-License-Identifier: BSL-1.0
#include "mp/fd.hpp"
#include "mp/log.hpp"

#include "os/pipe.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "util/diagnostics.hpp"

#include <spdlog/sinks/ostream_sink.h>

#include <fcntl.h>
#include <unistd.h>

#include <array>
#include <sstream>
#include <string>

using namespace mp;

namespace {

// What `body` writes to stderr, in a forked child that starts with a fresh logger
// state.
template <class Body>
std::string stderr_of(Body body) {
    auto [reader, writer] = os::make_pipe();
    const pid_t child = test::fork_child([&, out = writer.get()] {
        ::dup2(out, 2);
        body();
        return 0;
    });
    writer.reset();
    std::string text;
    std::array<char, 4096> part{};
    for (;;) {
        const ssize_t n = ::read(reader.get(), part.data(), part.size());
        if (n <= 0) {
            break;
        }
        text.append(part.data(), static_cast<std::size_t>(n));
    }
    CHECK(test::exit_status(child) == 0);
    return text;
}

void log_one_of_each() {
    detail::log_error("an error");
    detail::log_warning("a warning");
    detail::log_info("an info");
    detail::log_debug("a debug");
}

}  // namespace

TEST_CASE(
    "_TestLogging.test_enable_logging: the logger's level can be changed", "[log]"
) {
    CHECK(&get_logger() == &get_logger());
    CHECK(get_logger().name() == "mp");
    CHECK(get_logger().level() == spdlog::level::warn);
    const std::string text = stderr_of([] {
        log_to_stderr();
        log_one_of_each();
        get_logger().set_level(spdlog::level::debug);
        log_one_of_each();
        get_logger().set_level(spdlog::level::off);
        log_one_of_each();
    });
    CHECK(
        text == "[ERROR/MainProcess] an error\n"
                "[WARNING/MainProcess] a warning\n"
                "[ERROR/MainProcess] an error\n"
                "[WARNING/MainProcess] a warning\n"
                "[INFO/MainProcess] an info\n"
                "[DEBUG/MainProcess] a debug\n"
    );
}

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

TEST_CASE(
    "_TestLogging.test_level: the settings of a parent can be taken over", "[log]"
) {
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

TEST_CASE(
    "_TestLogging.test_filename: a sink of the program sees the calling file", "[log]"
) {
    CHECK(stderr_of([] {
              std::ostringstream text;
              auto sink = std::make_shared<spdlog::sinks::ostream_sink_mt>(text);
              sink->set_pattern("%s %v");
              get_logger().sinks().push_back(sink);
              get_logger().set_level(spdlog::level::info);
              detail::log_info("hello");
              if (text.str() == "test_log.cpp hello\n") {
                  detail::log_error("as expected");
              }
          }) == "[ERROR/MainProcess] as expected\n");
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
