// SPDX-License-Identifier: BSL-1.0
// The program itself ends while it writes an argument or reads a result: that is its
// own code, and nobody catches it. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"
#include "mp/context.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/exit_code.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <string>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;

namespace {

enum class ProgramEnd { exit, quick_exit };

constexpr int code_of_end = 7;
constexpr std::size_t tasks_before = 6;

[[noreturn]] void end_program(ProgramEnd how) {
    if (how == ProgramEnd::exit) {
        std::exit(code_of_end);
    }
    std::quick_exit(code_of_end);
}

/// As an argument, whose first bytes stand there already when it does.
struct EndsWhenWritten {
    ProgramEnd how = ProgramEnd::exit;
    std::string text;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& text;
        if constexpr (Archive::is_saving::value) {
            end_program(how);
        }
        archive& how;
    }
};

/// As a result.
struct EndsWhenRead {
    ProgramEnd how = ProgramEnd::exit;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& how;
        if constexpr (Archive::is_loading::value) {
            end_program(how);
        }
    }
};

void ring_beside(const EndsWhenWritten&, const std::string& bell) {
    test::ring(bell);
}

EndsWhenRead give_end(ProgramEnd how) {
    return {how};
}

struct ProgramPlan {
    StartMethod method = StartMethod::spawn;
    ProgramEnd how = ProgramEnd::exit;
    std::string bell;
    std::string never;  ///< bell of what must not run
    std::string pids;   ///< file
};

ProcessPoolExecutor pool_of(const ProgramPlan& plan) {
    ProcessPoolExecutor pool(on(mp::get_context(plan.method), 2, OnWorkerLoss::isolate)
    );
    pool.bootup();
    std::ofstream file(plan.pids);
    for (const pid_t worker : pool.workers()) {
        file << worker << ' ';
    }
    return pool;
}

std::vector<pid_t> workers_in(const std::string& path) {
    std::vector<pid_t> workers;
    std::ifstream file(path);
    for (pid_t worker = 0; file >> worker;) {
        workers.push_back(worker);
    }
    return workers;
}

void end_while_writing(const ProgramPlan& plan, std::size_t size) {
    ProcessPoolExecutor pool = pool_of(plan);
    for (std::size_t i = 0; i < tasks_before; ++i) {
        pool.submit(test::ring, plan.bell);
    }
    pool.submit(
        ring_beside, EndsWhenWritten{plan.how, std::string(size, 'x')}, plan.never
    );
    ::_exit(1);
}

enum class ReadBy { main_thread, other_thread, callback };

void end_while_reading(const ProgramPlan& plan, ReadBy reader) {
    ProcessPoolExecutor pool = pool_of(plan);
    const auto future = pool.submit(give_end, plan.how);
    for (std::size_t i = 0; i < tasks_before; ++i) {
        pool.submit(test::ring, plan.bell);
    }
    switch (reader) {
    case ReadBy::main_thread:
        future.result();
        break;
    case ReadBy::other_thread:
        std::thread([&] { future.result(); }).join();
        break;
    case ReadBy::callback:
        future.add_done_callback([](const Future<EndsWhenRead>& done) { done.result(); }
        );
        test::block_until_killed();
    }
    ::_exit(1);
}

void check_workers_are_gone(const ProgramPlan& plan) {
    const auto workers = workers_in(plan.pids);
    CHECK(workers.size() == 2);
    CHECK(gone_within(workers, 1s));
}

}  // namespace

TEST_CASE(
    "A3: a program that ends while it writes an argument ends as anywhere else",
    "[faults]"
) {
    const auto context = each_pool_start_method();
    const auto how = GENERATE(ProgramEnd::exit, ProgramEnd::quick_exit);
    // In the call's own buffer, and in the memory that it shares with the workers.
    const std::size_t size = GENERATE(10U, 200'000U);
    const Gate bell;
    const Gate never;
    const test::TempDir folder;
    const ProgramPlan plan{
        context.get_start_method(),
        how,
        bell.path(),
        never.path(),
        std::string(folder.path() / "pids")};
    CHECK(
        test::exit_code_of(context.Process(end_while_writing, plan, size)) ==
        code_of_end
    );
    check_workers_are_gone(plan);
    CHECK_FALSE(never.has_one());
    if (how == ProgramEnd::exit) {
        CHECK(bell.wait_for(tasks_before));  // what was submitted before is done
    }
}

TEST_CASE(
    "E3: a program that ends while it reads a result ends as anywhere else", "[faults]"
) {
    const auto context = each_pool_start_method();
    const auto how = GENERATE(ProgramEnd::exit, ProgramEnd::quick_exit);
    const auto reader =
        GENERATE(ReadBy::main_thread, ReadBy::other_thread, ReadBy::callback);
    CAPTURE(static_cast<int>(how), static_cast<int>(reader));
    const Gate bell;
    const test::TempDir folder;
    const ProgramPlan plan{
        context.get_start_method(),
        how,
        bell.path(),
        {},
        std::string(folder.path() / "pids")};
    CHECK(
        test::exit_code_of(context.Process(end_while_reading, plan, reader)) ==
        code_of_end
    );
    check_workers_are_gone(plan);
    if (how == ProgramEnd::exit && reader != ReadBy::callback) {
        CHECK(bell.wait_for(tasks_before));
    }
}

TEST_CASE(
    "E3: a result is read by who asks for it, and not by the pool's thread", "[faults]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
    {
        const std::vector<Future<EndsWhenRead>> unread(
            20, pool.submit(give_end, ProgramEnd::exit)
        );
        futures::wait(unread);
        CHECK(pool.submit(inc, 1).result(60s) == 2);
    }
    CHECK(pool.submit(inc, 2).result(60s) == 3);
    CHECK(pool.statistics().workers_lost == 0);
}
