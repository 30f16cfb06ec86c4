// SPDX-License-Identifier: BSL-1.0
// Affinity: on which processors a pool's workers run.
#include "futures/affinity.hpp"
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <sched.h>

#include <stdexcept>
#include <utility>
#include <vector>

using futures::Affinity;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::on;

namespace {

std::vector<int> cpus_here() {
    cpu_set_t set;
    sched_getaffinity(0, sizeof set, &set);
    std::vector<int> cpus;
    for (int cpu = 0; cpu < CPU_SETSIZE; ++cpu) {
        if (CPU_ISSET(static_cast<std::size_t>(cpu), &set)) {
            cpus.push_back(cpu);
        }
    }
    return cpus;
}

}  // namespace

TEST_CASE(
    "mpire::pool::cpu_ids: one set of processors for all workers, or one for each",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const std::vector<int> mine = cpus_here();
    auto options = on(context, 2);
    options.affinity = {mine.front()};
    {
        ProcessPoolExecutor pool(ProcessPoolOptions{options});
        CHECK(pool.submit(cpus_here).result() == std::vector<int>{mine.front()});
    }
    options.affinity = {mine.back(), mine.back()};
    {
        ProcessPoolExecutor pool(ProcessPoolOptions{options});
        CHECK(pool.submit(cpus_here).result() == std::vector<int>{mine.back()});
    }
    options.affinity = Affinity::one_cpu_each;
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(cpus_here).result().size() == 1);
}

TEST_CASE("mpire::pool::cpu_ids.invalid: impossible processors are refused", "[pool]") {
    const std::vector<int> mine = cpus_here();
    const auto refused = [](Affinity affinity) {
        CHECK_THROWS_AS(
            ProcessPoolExecutor({.max_workers = 2, .affinity = std::move(affinity)}),
            std::invalid_argument
        );
    };
    refused({mine.front(), mine.front(), mine.front()});
    refused({-1});
    refused({100'000});
    refused({{mine.front(), 4000}});
}
