// SPDX-License-Identifier: BSL-1.0
// R4 of child programs: the allocator fails once, at the first allocation, at the
// second, and so on. What comes out is std::bad_alloc or what would have come anyway,
// no child is left, and no descriptor.
#include "children.hpp"
#include "concurrency/cancel.hpp"
#include "concurrency/run.hpp"
#include "concurrency/subprocess.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"
#include "support/failing_allocator.hpp"
#include "support/proc.hpp"

#include <sys/wait.h>

#include <stdexcept>
#include <string>
#include <vector>

using concurrency::open_process;
using concurrency::Process;
using concurrency::ProcessOptions;
using concurrency::run_process;
using concurrency::Task;

namespace {

/// As CHECK, which allocates.
void expect(bool is_so) {
    if (!is_so) {
        throw std::logic_error("not as expected");
    }
}

struct Call {
    const char* name;
    Task<> (*call)();
};

const std::vector<Call>& calls() {
    static const std::vector<Call> all{
        {"run_process",
         []() -> Task<> {
             const auto options = ProcessOptions().input(std::string(100, 'x'));
             const auto done = co_await run_process("cat; echo error >&2", options);
             expect(done.stdout().size() == 100);
             expect(done.stderr() == "error\n");
         }},
        {"open_process",
         []() -> Task<> {
             co_await open_process("cat", [](Process& process) -> Task<> {
                 co_await process.stdin().send(std::string(10, 'x'));
                 process.stdin().close();
                 const std::string text = co_await test::rest_of(process.stdout());
                 expect(text.size() == 10);
                 const int code = co_await process.wait();
                 expect(code == 0);
             });
         }},
        {"a block that is cancelled",
         []() -> Task<> {
             concurrency::CancelScope scope;
             const bool completed = co_await scope.run([&]() -> Task<> {
                 co_await open_process(
                     "echo ready; exec sleep 10000",
                     [&](Process& process) -> Task<> {
                         co_await test::line_of(process.stdout());
                         scope.cancel();
                         co_await process.wait();
                     }
                 );
             });
             expect(!completed);
         }},
        {"a process that goes out of scope",
         []() -> Task<> {
             const Process process = co_await open_process("cat");
         }},
    };
    return all;
}

std::string outcome(const Call& call) {
    try {
        concurrency::run(call.call);
    } catch (...) {
        const test::Plenty plenty;
        return test::in_words(std::current_exception());
    }
    return "nothing";
}

}  // namespace

TEST_CASE("no memory: child programs, at each allocation", "[subprocess][no_memory]") {
    for (const Call& call : calls()) {
        CHECK(outcome(call) == "nothing");
        const int before = test::open_descriptors();
        test::refused = true;
        for (long allocations = 0; test::refused; ++allocations) {
            INFO(call.name << " with " << allocations << " allocations");
            test::refused = false;
            test::refusals = 1;
            test::until_refusal = allocations;
            const std::string words = outcome(call);
            test::until_refusal = -1;
            CHECK(test::open_descriptors() == before);
            CHECK(::waitpid(-1, nullptr, WNOHANG) == -1);
            if (words != "nothing") {
                CHECK_THAT(words, test::ContainsSubstring("bad_alloc"));
            }
            if (!test::refused) {
                CHECK(words == "nothing");
            }
            REQUIRE(allocations < 1000);
        }
    }
}
