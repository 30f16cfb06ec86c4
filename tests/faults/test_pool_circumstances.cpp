// SPDX-License-Identifier: BSL-1.0
// Pools in programs whose streams, environment, folders or workers are not as usual,
// and maps that nobody reads to the end. The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "mp/process.hpp"
#include "mp/spawn.hpp"
#include "mp/value.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/gate.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <memory>
#include <mutex>
#include <numeric>
#include <stdexcept>
#include <stdlib.h>
#include <string>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::StartMethod;
using test::Gate;
using test::inc;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::ring_and_pass;

namespace {

ProcessPoolOptions pool_of_some() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

/// In a process of its own: an odd one would be one for the other cases, too.
template <class Prepare>
int works_after(const mp::Context& context, Prepare prepare) {
    return test::run_in_fork([&] {
        prepare();
        ProcessPoolExecutor pool(on(context, 2, OnWorkerLoss::isolate));
        return pool.submit(inc, 1).result(60s) == 2 ? 0 : 1;
    });
}

void refuse_third(mp::Value<int> count) {
    const std::scoped_lock held(count);
    count.set(count.get() + 1);
    if (count.get() == 3) {
        throw std::domain_error("two are enough");
    }
}

int crash_at_exit() {
    std::atexit([] {
        signal(SIGSEGV, SIG_DFL);
        raise(SIGSEGV);
    });
    return 1;
}

int die_at_fifty(int x) {
    if (x == 50) {
        raise(SIGKILL);
    }
    return x;
}

mode_t change_mask(mode_t mask) {
    return umask(mask);
}

/// Is there for as long as its worker.
int use_kept_pool(int x) {
    static const auto kept = std::make_unique<ProcessPoolExecutor>(2);
    return kept->submit(inc, x).result();
}

std::vector<int> up_to_number(int count) {
    std::vector<int> numbers(static_cast<std::size_t>(count));
    std::iota(numbers.begin(), numbers.end(), 0);
    return numbers;
}

}  // namespace

TEST_CASE("C23: what a task changes of its process stays", "[faults]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    pool.submit(change_mask, mode_t{077}).result(60s);
    CHECK(pool.submit(change_mask, mode_t{022}).result(60s) == mode_t{077});
}

TEST_CASE("G8: an exit handler of a task crashes", "[faults]") {
    const test::LogCapture log;
    ProcessPoolExecutor pool(pool_of_some());
    CHECK(pool.submit(crash_at_exit).result(60s) == 1);
    pool.shutdown();
    CHECK(pool.statistics().tasks_lost == 0);
}

TEST_CASE("H4: one initializer of several fails", "[faults]") {
    const test::LogCapture log;
    const mp::Value<int> count(0);
    auto options = on(each_pool_start_method(), 4, OnWorkerLoss::isolate);
    options.initializer = mp::call(refuse_third, count);
    ProcessPoolExecutor pool(std::move(options));
    CHECK_THROWS_WITH(pool.bootup(), test::ContainsSubstring("two are enough"));
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
    pool.reset();  // the next one is the fourth
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("H13: a program without standard streams", "[faults]") {
    CHECK(works_after(each_pool_start_method(), [] {
              for (const int fd : {0, 1, 2}) {
                  ::close(fd);
              }
          }) == 0);
}

TEST_CASE("H14: a program with much in its environment", "[faults]") {
    CHECK(works_after(each_pool_start_method(), [] {
              for (int i = 0; i < 10; ++i) {
                  const std::string name = "MP_TEST_LONG_" + std::to_string(i);
                  setenv(name.c_str(), std::string(100'000, 'x').c_str(), 1);
              }
          }) == 0);
}

TEST_CASE("H15: a program that has gone to another folder", "[faults]") {
    CHECK(works_after(each_pool_start_method(), [] {
              if (::chdir("/") != 0) {
                  std::abort();
              }
          }) == 0);
}

TEST_CASE("H17: the program of the workers ends at once", "[faults]") {
    const test::LogCapture log;
    const auto context = mp::get_context(StartMethod::spawn);
    ProcessPoolExecutor pool(on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate));
    mp::set_executable("/bin/false");
    const auto future = pool.submit(inc, 1);
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
    mp::set_executable("");
    CHECK(pool.statistics().workers_lost < 20);
    pool.reset();
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("L3: nobody reads a map to its end", "[faults]") {
    ProcessPoolExecutor pool(pool_of_some());
    for (const int chunksize : {1, 7}) {
        for (const int result : pool.map(
                 {.chunksize = chunksize, .buffersize = 20}, inc, up_to_number(200)
             )) {
            CHECK(result == 1);
            break;
        }
        for (const int result :
             pool.map({.chunksize = chunksize}, inc, up_to_number(200))) {
            CHECK(result == 1);
            break;
        }
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    pool.shutdown();
    CHECK(pool.statistics().concluded == pool.statistics().submitted);
}

TEST_CASE("L9: a callback blocks, and others have their results", "[faults]") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(pool_of_some());
    const Gate first;
    const auto held = pool.submit(test::pass, first.path());
    held.add_done_callback([&](const auto&) {
        ring_and_pass(bell.path(), gate.path(), 0);
    });
    first.open(1);
    REQUIRE(bell.wait_for(1));
    for (int i = 0; i < 20; ++i) {
        CHECK(pool.submit(inc, i).result(60s) == i + 1);
    }
    gate.open(1);
}

TEST_CASE("L10: one item of a hundred ends its worker", "[faults]") {
    ProcessPoolExecutor pool(pool_of_some());
    int values = 0;
    int lost = 0;
    auto results = pool.map({.chunksize = 10}, die_at_fifty, up_to_number(100));
    for (auto it = results.begin(); it != results.end(); ++it) {
        try {
            values += *it >= 0 ? 1 : 0;
        } catch (const futures::WorkerLost&) {
            ++lost;
        }
    }
    CHECK(values == 90);
    CHECK(lost == 10);  // its chunk
}

TEST_CASE("M8: pools at both levels when the program ends", "[faults]") {
    const auto method = each_replacing_method().get_start_method();
    mp::Process program(
        {.start_method = StartMethod::fork},
        [](StartMethod inner) {
            static ProcessPoolExecutor pool(on(mp::get_context(inner), 2));
            for (const int result : pool.map(use_kept_pool, up_to_number(10))) {
                if (result == 0) {
                    _exit(3);
                }
            }
            std::exit(0);
        },
        method
    );
    program.start();
    program.join(60s);
    CHECK(program.exitcode() == 0);
}
