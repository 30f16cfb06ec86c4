// SPDX-License-Identifier: BSL-1.0
// Workers end in order while their results lie unread. The cases: docs/faults.md.
#include "futures/process_pool.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/soon.hpp"
#include "support/start_methods.hpp"

#include <sys/types.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::ring_and_pass;

namespace {

constexpr int task_count = 6;

std::string ring_and_give_megabyte(const std::string& bell, int index) {
    test::ring(bell);
    return std::string(1'000'000, static_cast<char>('a' + index));
}

/// Holds the thread of the pool up, in a callback.
class HeldManager {
public:
    explicit HeldManager(ProcessPoolExecutor& pool) {
        const auto first = pool.submit(test::pass, first_.path());
        first.add_done_callback([this](const auto&) {
            ring_and_pass(bell_.path(), gate_.path(), 0);
        });
        first_.open(1);
        REQUIRE(bell_.wait_for(1));
    }

    ~HeldManager() { go_on(); }

    HeldManager(const HeldManager&) = delete;
    HeldManager& operator=(const HeldManager&) = delete;

    void go_on() {
        if (held_) {
            held_ = false;
            gate_.open(1);
        }
    }

private:
    const Gate first_;
    const Gate bell_;
    const Gate gate_;
    bool held_ = true;
};

void check_all(ProcessPoolExecutor& pool, const std::vector<Future<std::string>>& all) {
    for (int i = 0; i < task_count; ++i) {
        const std::string expected(1'000'000, static_cast<char>('a' + i));
        CHECK((all[static_cast<std::size_t>(i)].result(60s) == expected));
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

void check_counts_at_end(ProcessPoolExecutor& pool) {
    pool.shutdown();
    const auto counts = pool.statistics();
    CHECK(counts.submitted == task_count + 2);
    CHECK(counts.concluded == counts.submitted);
    CHECK(counts.workers_lost == 0);
    CHECK(counts.tasks_lost == 0);
    CHECK(counts.workers == 0);
}

}  // namespace

TEST_CASE(
    "K11: workers have done their share and end before their results are read",
    "[faults]"
) {
    const auto context = each_replacing_method();
    const int workers = GENERATE(1, 4);
    auto options = on(context, workers, OnWorkerLoss::isolate);
    options.max_tasks_per_child = 1;
    const Gate bell;
    ProcessPoolExecutor pool(options);
    HeldManager manager(pool);
    std::vector<Future<std::string>> all;
    for (int i = 0; i < task_count; ++i) {
        all.push_back(pool.submit(ring_and_give_megabyte, bell.path(), i));
    }
    const auto there = pool.workers();
    manager.go_on();
    CHECK(gone_within(there, 1s));
    check_all(pool, all);
    const auto counts = pool.statistics();
    CHECK(counts.workers_started >= task_count + 1);
    CHECK(counts.workers <= static_cast<std::size_t>(workers));
    check_counts_at_end(pool);
}

TEST_CASE("K11: idle workers leave before their results are read", "[faults]") {
    const test::LogCapture log;
    const auto context = each_pool_start_method();
    auto options = on(context, GENERATE(1, 4), OnWorkerLoss::isolate);
    options.idle_timeout = 1ms;
    const Gate bell;
    ProcessPoolExecutor pool(options);
    pool.bootup();
    HeldManager manager(pool);
    std::vector<Future<std::string>> all;
    for (int i = 0; i < task_count; ++i) {
        all.push_back(pool.submit(ring_and_give_megabyte, bell.path(), i));
    }
    manager.go_on();
    CHECK(bell.wait_for(task_count));
    // None of the results has been asked for.
    CHECK(test::soon([&] { return pool.workers().empty(); }));
    check_all(pool, all);
    check_counts_at_end(pool);
}
