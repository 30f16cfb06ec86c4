// SPDX-License-Identifier: BSL-1.0
// What happens to tasks that run longer than they may.
#include "futures/process_pool.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <filesystem>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::ProcessPoolExecutor;

namespace {

int block_for_ever() {
    for (;;) {
        ::pause();
    }
}

int spin_for_ever() {
    for (;;) {
        asm volatile("");
    }
}

int stop_oneself() {
    ::raise(SIGSTOP);
    return 1;
}

int work_for(int microseconds) {
    const auto until =
        std::chrono::steady_clock::now() + std::chrono::microseconds(microseconds);
    while (std::chrono::steady_clock::now() < until) {
    }
    return microseconds;
}

struct NeverDecoded {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        if constexpr (Archive::is_loading::value) {
            block_for_ever();
        }
    }
};

int take(const NeverDecoded&) {
    return 1;
}

// Blocks when it is the first to come: the file is its trace.
int block_the_first_time(const std::string& file) {
    const int fd = ::open(file.c_str(), O_CREAT | O_EXCL | O_WRONLY, 0600);
    if (fd >= 0) {
        ::close(fd);
        block_for_ever();
    }
    return 2;
}

ProcessPoolExecutor pool_of(int workers, const mp::Context& ctx) {
    return ProcessPoolExecutor({.max_workers = workers, .mp_context = ctx});
}

}  // namespace

TEST_CASE(
    "I1: a task beyond its limit ends, and its worker; the pool goes on", "[faults]"
) {
    const mp::Context ctx = each_pool_start_method();
    auto pool = pool_of(GENERATE(1, 2, 8), ctx);
    auto late = pool.submit({.timeout = 50ms}, block_for_ever);
    auto later = pool.submit(work_for, 1);
    CHECK_THROWS_AS(late.result(), futures::TaskTimeout);
    CHECK(later.result() == 1);
    CHECK_THROWS_WITH(
        late.result(),
        test::ContainsSubstring("block_for_ever") &&
            test::ContainsSubstring("its limit of 0.05 s")
    );
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "B5 C25 C30: a limit ends loops, stopped workers and decoders as well", "[faults]"
) {
    auto pool = pool_of(1, mp::get_context("forkserver"));
    CHECK_THROWS_AS(
        pool.submit({.timeout = 50ms}, spin_for_ever).result(), futures::TaskTimeout
    );
    CHECK_THROWS_AS(
        pool.submit({.timeout = 50ms}, stop_oneself).result(), futures::TaskTimeout
    );
    CHECK_THROWS_AS(
        pool.submit({.timeout = 50ms}, take, NeverDecoded()).result(),
        futures::TaskTimeout
    );
    CHECK(pool.submit(work_for, 1).result() == 1);
}

TEST_CASE("I6: the time in the queue does not count", "[faults]") {
    auto pool = pool_of(1, mp::get_context("forkserver"));
    std::vector<futures::Future<int>> all;
    for (int i = 0; i < 10; ++i) {
        all.push_back(pool.submit({.timeout = 2s}, work_for, 250'000));
    }
    for (auto& one : all) {
        CHECK(one.result() == 250'000);
    }
}

TEST_CASE(
    "I5: a limit that passes with the end of the task takes no other task", "[faults]"
) {
    auto pool = pool_of(GENERATE(1, 2, 8), mp::get_context("forkserver"));
    int ended = 0;
    int timed_out = 0;
    for (int round = 0; round < 15; ++round) {
        std::vector<futures::Future<int>> limited;
        std::vector<futures::Future<int>> others;
        for (int i = 0; i < 4; ++i) {
            limited.push_back(pool.submit({.timeout = 5ms}, work_for, 20'000 + i * 4000)
            );
            others.push_back(pool.submit(work_for, 500));
        }
        for (auto& one : limited) {
            try {
                one.result();
                ++ended;
            } catch (const futures::TaskTimeout&) {
                ++timed_out;
            }
        }
        for (auto& one : others) {
            CHECK(one.result() == 500);
        }
    }
    CHECK(ended + timed_out == 60);
    CHECK(timed_out > 0);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE(
    "A task beyond its limit is run again as often as its options say", "[faults]"
) {
    const auto file = std::filesystem::temp_directory_path() /
                      ("mp-limit-" + std::to_string(::getpid()));
    auto pool = pool_of(1, mp::get_context("forkserver"));
    auto f = pool.submit(
        {.timeout = 50ms, .retries = 1}, block_the_first_time, file.string()
    );
    CHECK(f.result() == 2);
    CHECK(std::filesystem::remove(file));
    auto given_up = pool.submit({.timeout = 20ms, .retries = 2}, block_for_ever);
    CHECK_THROWS_AS(given_up.result(), futures::TaskTimeout);
    CHECK(pool.statistics().workers_started == 4);
}
