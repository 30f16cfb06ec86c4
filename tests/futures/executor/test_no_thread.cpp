// SPDX-License-Identifier: BSL-1.0
// A thread that cannot be made: submit() says so, workers that were started before it
// are ended, and the program ends.
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/context.hpp"
#include "mp/errors.hpp"
#include "mp/process.hpp"

#include "support/catch.hpp"
#include "support/deny_call.hpp"
#include "support/pools.hpp"

#include <sys/syscall.h>

#include <cerrno>
#include <chrono>
#include <string>
#include <system_error>

using futures::ProcessPoolExecutor;
using futures::ThreadPoolExecutor;
using test::inc;

namespace {

/// What a system answers that has no room for another thread. fork() is another call.
void deny_threads() {
    test::deny_call(SYS_clone3, EAGAIN);
}

template <class Pool>
int submit_in_vain(Pool& pool) {
    for (int round = 0; round < 3; ++round) {
        try {
            pool.submit(inc, 1);
            return 10;
        } catch (const std::system_error& error) {
            const std::string text = error.what();
            if (error.code().value() != EAGAIN ||
                text.find("cannot be made") == std::string::npos) {
                return 11;
            }
        }
        if (!mp::active_children().empty()) {
            return 12;
        }
    }
    return 0;
}

/// Runs it in a process that ends as a program does.
template <class Body>
int run_and_exit(Body body) {
    mp::Process process = mp::get_context("fork").Process([body] {
        deny_threads();
        throw mp::SystemExit(body());
    });
    process.start();
    if (!process.join(std::chrono::seconds(40))) {
        process.kill();
        process.join();
    }
    return process.exitcode().value_or(-1);
}

}  // namespace

TEST_CASE("no thread: submit() of a thread pool says so", "[executor]") {
    CHECK(run_and_exit([] {
              ThreadPoolExecutor threads(2);
              return submit_in_vain(threads);
          }) == 0);
}

TEST_CASE("no thread: submit() of a process pool ends the workers", "[executor]") {
    const auto method = GENERATE(
        mp::StartMethod::fork, mp::StartMethod::spawn, mp::StartMethod::forkserver
    );
    CHECK(run_and_exit([method] {
              ProcessPoolExecutor pool(test::on(mp::get_context(method), 2));
              return submit_in_vain(pool);
          }) == 0);
}

TEST_CASE("no thread: a program may leave such a pool as it is", "[executor]") {
    CHECK(run_and_exit([] {
              auto* const pool = new ProcessPoolExecutor(
                  test::on(mp::get_context(mp::StartMethod::fork), 2)
              );
              return submit_in_vain(*pool);
          }) == 0);
}
