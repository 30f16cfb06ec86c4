// SPDX-License-Identifier: BSL-1.0
// A pool that has nothing to do gives its memory back to the system.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/memory_of.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using test::memory_of;

namespace {

constexpr std::size_t megabyte = std::size_t{1} << 20U;

std::string text_of(std::size_t size) {
    return std::string(size, 'x');
}

std::size_t size_of(const std::string& text) {
    return text.size();
}

std::uint64_t memory_of_pool() {
    return memory_of("mp-calls") + memory_of("mp-results");
}

std::vector<futures::Future<std::string>>
results(futures::ProcessPoolExecutor& pool, std::size_t size, int count) {
    std::vector<futures::Future<std::string>> all;
    for (int i = 0; i < count; ++i) {
        all.push_back(pool.submit(text_of, size));
    }
    futures::wait(all);
    return all;
}

}  // namespace

TEST_CASE("ProcessPoolExecutor: an idle pool gives memory back", "[process_pool]") {
    const auto context = each_pool_start_method();
    futures::ProcessPoolExecutor pool(
        {.max_workers = 2, .mp_context = context, .trim_threshold = 6 * megabyte}
    );
    // Large ones, and such as are smaller than pages that go back.
    const std::size_t size = GENERATE(as<std::size_t>(), 1048576, 10'000);
    const int count = static_cast<int>(40 * megabyte / size);
    for (int round = 0; round < 2; ++round) {
        auto kept = results(pool, size, count);
        // All but two: what their messages took is free now, and was warm before.
        kept.erase(kept.begin() + 2, kept.end());
        CHECK(test::soon([] { return memory_of_pool() < 12 * megabyte; }));
        for (auto& future : kept) {
            CHECK(future.result() == text_of(size));
        }
    }
}

TEST_CASE("ProcessPoolExecutor: memory of arguments goes back", "[process_pool]") {
    futures::ProcessPoolExecutor pool({.max_workers = 2, .trim_threshold = 6 * megabyte}
    );
    std::vector<futures::Future<std::size_t>> all;
    for (int i = 0; i < 100; ++i) {
        all.push_back(pool.submit(size_of, text_of(megabyte)));
    }
    for (auto& future : all) {
        REQUIRE(future.result() == megabyte);
    }
    CHECK(test::soon([] { return memory_of_pool() < 10 * megabyte; }));
    CHECK(pool.submit(size_of, text_of(megabyte)).result() == megabyte);
}

TEST_CASE(
    "ProcessPoolExecutor: results dropped by an idle pool's program go back, too",
    "[process_pool]"
) {
    futures::ProcessPoolExecutor pool({.max_workers = 2, .trim_threshold = 6 * megabyte}
    );
    auto kept = results(pool, megabyte, 100);
    // Results that nobody keeps go first: then the pool is known to be idle.
    results(pool, megabyte, 50);
    REQUIRE(test::soon([] { return memory_of_pool() < 140 * megabyte; }));
    kept.clear();
    CHECK(test::soon([] { return memory_of_pool() < 12 * megabyte; }));
}
