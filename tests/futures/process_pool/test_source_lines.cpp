// SPDX-License-Identifier: BSL-1.0
// The lines of code: of this program, of the process that asks, and of a crash.
#include "futures/process_pool.hpp"

#include "data/module.hpp"
#include "process_pool/source_lines.hpp"
#include "support/catch.hpp"
#include "support/crashing_library.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <regex>
#include <string>

using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using futures::detail::source_lines_at;
using namespace std::chrono_literals;

namespace {

constexpr int line_of_function = __LINE__ + 1;
[[gnu::noinline]] int crash_on_the_next_line(int x) {
    volatile int* const nowhere = nullptr;
    return *nowhere + x;
}

std::vector<futures::detail::SourceLine> lines_of(int (*function)(int)) {
    const auto address = reinterpret_cast<std::uintptr_t>(function);
    const auto* const module = mp::detail::module_with_code_at(address);
    REQUIRE(module != nullptr);
    return source_lines_at(module->build_id, address - module->base);
}

bool is_found() {
    const auto lines = lines_of(crash_on_the_next_line);
    return lines.size() == 1 && lines[0].line == line_of_function &&
           lines[0].file.ends_with("test_source_lines.cpp") &&
           lines[0].symbol.find("crash_on_the_next_line") != std::string::npos;
}

}  // namespace

TEST_CASE("source lines: function, file and line of this program's code") {
    CHECK(is_found());
    CHECK(test::run_in_fork([] { return is_found() ? 0 : 1; }) == 0);
}

TEST_CASE("source lines: those of a library, too") {
    const auto lines = lines_of(third_crash);
    REQUIRE(lines.size() == 1);
    CHECK(lines[0].symbol == "third_crash");
    CHECK(lines[0].file.ends_with("crashing_library.cpp"));
}

TEST_CASE("source lines: nothing is known of what is not there") {
    CHECK(source_lines_at("", 0x1000).empty());
    CHECK(source_lines_at("no such build", 0x1000).empty());
    const auto* const program = mp::detail::module_with_code_at(
        reinterpret_cast<std::uintptr_t>(&crash_on_the_next_line)
    );
    REQUIRE(program != nullptr);
    CHECK(source_lines_at(program->build_id, ~std::uint64_t{0}).empty());
    CHECK(source_lines_at(program->build_id, std::uint64_t{1} << 62U).empty());
}

// The sanitizers have handlers of their own for these.
TEST_CASE(
    "loky::reusable_executor::fault_handler: the report has the stack, with files and "
    "lines, unless it is switched off",
    "[no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    auto options = test::on(context, 1, OnWorkerLoss::isolate);
    for (const bool captures : {true, false}) {
        options.capture_crashes = captures;
        ProcessPoolExecutor pool(options);
        try {
            pool.submit(crash_on_the_next_line, 1).result(60s);
            FAIL("the worker lives");
        } catch (const WorkerLost& lost) {
            CHECK(lost.report().signal == SIGSEGV);
            const std::regex frame(
                "[^\n]*crash_on_the_next_line\\(int\\) at "
                "[^\n]*test_source_lines[.]cpp:" +
                std::to_string(line_of_function + 2) + "\n?"
            );
            INFO(lost.report().stack);
            CHECK(std::regex_match(lost.report().stack, frame) == captures);
            CHECK(lost.report().stack.empty() != captures);
            CHECK(lost.report().si_code.has_value() == captures);
        }
    }
}
