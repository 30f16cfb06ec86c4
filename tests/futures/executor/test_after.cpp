// SPDX-License-Identifier: BSL-1.0
// .after of SubmitOptions: futures of any types.
#include "futures/after.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <memory>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

using futures::After;
using futures::Future;

namespace {

int after_seven() {
    return 7;
}

}  // namespace

TEST_CASE("After: futures of any types in braces, or a range", "[after]") {
    const Future<int> f;
    const Future<std::string> g;
    const Future<std::unique_ptr<int>> h;
    const After after{f, g, h};
    CHECK(after.size() == 3);
    CHECK(&after[1] == &g.base());
    CHECK(After(std::vector<Future<int>>(4)).size() == 4);
    CHECK(After(std::vector<Future<void>>{}).empty());
    CHECK(After().empty());
}

TEST_CASE(
    "taskflow::test_dependent_asyncs::null_dependency: a handle that was moved from is "
    "an "
    "invalid argument, an empty list is fine",
    "[after]"
) {
    futures::ThreadPoolExecutor threads(2);
    Future<int> f;
    const Future<int> g = std::move(f);
    // NOLINTNEXTLINE(bugprone-use-after-move): what is tested
    CHECK_THROWS_AS(threads.submit({.after = {f}}, after_seven), std::invalid_argument);
    CHECK(threads.submit({.after = {}}, after_seven).result() == 7);
    const std::vector<Future<int>> none;
    const auto a = threads.submit({.after = none}, after_seven);
    const auto b = threads.submit({.after = none}, after_seven);
    const auto c =
        threads.submit({.after = {a, b}}, [&] { return a.done() && b.done(); });
    CHECK(c.result());
    CHECK_FALSE(g.done());
}

TEST_CASE("After: the handles may go as soon as the task was submitted", "[after]") {
    futures::ThreadPoolExecutor threads(1);
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = quick_pool_context()}
    );
    const auto t = threads.submit({.after = {pool.submit(after_seven)}}, after_seven);
    const auto u = pool.submit({.after = {threads.submit(after_seven)}}, after_seven);
    CHECK(t.result() + u.result() == 14);
}
