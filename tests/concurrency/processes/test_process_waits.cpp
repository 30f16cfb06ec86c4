// SPDX-License-Identifier: BSL-1.0
// What holds of every call in which a task waits for a child program.
#include "concurrency/subprocess.hpp"
#include "concurrency/waits/each_wait.hpp"

#include <string>
#include <vector>

using concurrency::open_process;
using concurrency::Process;
using concurrency::Task;

namespace {

struct NoStage {
    void prepare() {}

    void open() {}

    void wait_for_thread() {}

    std::string traces() const { return {}; }
};

const char* const endless_program = "exec sleep 10000";

const std::vector<test::Wait<NoStage>> process_waits{
    {"Process.wait",
     [](NoStage&) -> Task<> {
         Process process = co_await open_process(endless_program);
         co_await process.wait();
     }},
    {"Process.wait",
     [](NoStage&) -> Task<> {
         Process process = co_await open_process(endless_program);
         co_await process.aclose();
     },
     test::Cancelled::ends_soon},
    {"Process.wait",
     [](NoStage&) -> Task<> {
         co_await open_process(endless_program, [](Process& process) -> Task<> {
             co_await process.wait();
         });
     },
     test::Cancelled::ends_soon},
    {"asio_op",
     [](NoStage&) -> Task<> {
         Process process = co_await open_process(endless_program);
         co_await process.stdout().receive();
     },
     test::Cancelled::ends_soon},
    {"asio_op",
     [](NoStage&) -> Task<> {
         Process process = co_await open_process(endless_program);
         co_await process.stdin().send(std::string(1 << 20, 'x'));
     },
     test::Cancelled::ends_soon},
    {nullptr,
     [](NoStage&) -> Task<> { co_await concurrency::run_process(endless_program); },
     test::Cancelled::ends_soon},
};

}  // namespace

TEST_CASE("process waits: a tree of tasks shows them", "[subprocess]") {
    test::check_names(process_waits);
}

TEST_CASE("process waits: cancelled, they end", "[subprocess]") {
    test::check_cancelled(process_waits);
}

TEST_CASE(
    "process waits: a loop that is stopped destroys them where they are", "[subprocess]"
) {
    test::check_abandoned(process_waits);
}

TEST_CASE(
    "process waits: in the child of a fork they are refused", "[subprocess][no-tsan]"
) {
    test::check_after_fork(process_waits);
}
