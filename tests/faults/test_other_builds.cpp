// SPDX-License-Identifier: BSL-1.0
// Workers that would run another build of the program. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/errors.hpp"

#include "support/catch.hpp"
#include "support/other_program.hpp"
#include "support/pools.hpp"
#include "support/temp_dir.hpp"

#include <chrono>
#include <exception>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::inc;
using test::on;

TEST_CASE(
    "B9: a program that was replaced by another build calls nothing wrong", "[faults]"
) {
    const auto method = GENERATE(StartMethod::spawn, StartMethod::forkserver);
    const int workers = GENERATE(1, 2, 8);
    const test::TempDir folder;
    const auto copy = test::copy_of_this_program(folder);
    test::change_build_id(copy);
    ProcessPoolExecutor pool(on(mp::get_context(method), workers, OnWorkerLoss::isolate)
    );
    {
        const test::OtherProgram other(copy);
        const auto future = pool.submit(inc, 1);
        try {
            future.result(60s);
            FAIL_CHECK("no exception");
        } catch (const BrokenProcessPool& error) {
            CHECK_THROWS_AS(std::rethrow_if_nested(error), mp::ProcessError);
        }
        CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
    }
    pool.reset();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}
