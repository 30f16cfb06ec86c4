// SPDX-License-Identifier: BSL-1.0
// A fork beside threads that are not the library's own is said once, and on stderr.
#include "mp/context.hpp"
#include "mp/log.hpp"
#include "mp/process.hpp"
#include "mp/start_method.hpp"

#include "support/captured.hpp"
#include "support/catch.hpp"
#include "util/library_thread.hpp"

#include <semaphore>
#include <string>
#include <thread>
#include <utility>

namespace {

constexpr const char* warning = "WARNING/MainProcess] this process has other threads";

void fork_twice() {
    for (int i = 0; i < 2; ++i) {
        mp::Process process = mp::get_context("fork").Process([] {});
        process.start();
        process.join();
    }
}

void fork_beside_a_thread() {
    std::binary_semaphore go(0);
    std::thread other([&go] { go.acquire(); });
    fork_twice();
    go.release();
    other.join();
}

std::size_t times(const std::string& text, const std::string& part) {
    std::size_t found = 0;
    for (auto at = text.find(part); at != std::string::npos;
         at = text.find(part, at + 1)) {
        ++found;
    }
    return found;
}

}  // namespace

// Each case in a child of its own: it is said once a process.

TEST_CASE("fork beside threads: it is said once, on stderr", "[process]") {
    CHECK(times(test::stderr_of(fork_beside_a_thread), warning) == 1);
}

TEST_CASE("fork beside threads: stderr can be spared", "[process]") {
    CHECK(test::stderr_of([] {
              mp::set_fork_warning(false);
              fork_beside_a_thread();
          }).empty());
    // The log has it even so; on stderr only when that shows warnings.
    CHECK(
        times(
            test::stderr_of([] {
                mp::set_fork_warning(false);
                mp::log_to_stderr();
                fork_beside_a_thread();
            }),
            warning
        ) == 1
    );
}

TEST_CASE("fork beside threads: not twice where warnings are shown", "[process]") {
    CHECK(
        times(
            test::stderr_of([] {
                mp::log_to_stderr();
                fork_beside_a_thread();
            }),
            warning
        ) == 1
    );
}

TEST_CASE("fork beside threads: a log that wants no warnings gets none", "[process]") {
    CHECK(test::stderr_of([] {
              mp::get_logger().set_level(spdlog::level::err);
              fork_beside_a_thread();
          }).empty());
}

// ThreadSanitizer has a thread of its own, which counts.

TEST_CASE(
    "fork beside threads: those of the library do not count", "[process][no-tsan]"
) {
    CHECK(test::stderr_of([] {
              std::binary_semaphore go(0);
              mp::detail::LibraryThread counted;
              std::thread other([&go, own = std::move(counted)] { go.acquire(); });
              fork_twice();
              go.release();
              other.join();
          }).empty());
}

TEST_CASE(
    "fork beside threads: those that were joined do not count", "[process][no-tsan]"
) {
    CHECK(test::stderr_of([] {
              for (int i = 0; i < 50; ++i) {
                  std::thread([] {}).join();
                  mp::Process process = mp::get_context("fork").Process([] {});
                  process.start();
                  process.join();
              }
          }).empty());
}
