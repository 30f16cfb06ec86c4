// SPDX-License-Identifier: BSL-1.0
// What tasks and workers of ProcessPoolExecutor are promised, by the rows of CPython's
// tests.
#include "futures/process_pool.hpp"

#include "os/page.hpp"
#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>

#include <chrono>
#include <exception>
#include <fstream>
#include <new>
#include <numeric>
#include <set>
#include <stdexcept>
#include <string>
#include <system_error>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::ProcessPoolExecutor;
using mp::StartMethod;
using test::Gate;
using test::on;
using test::tasks::each_replacing_method;
using test::tasks::exit_now;
using test::tasks::expect_broken;
using test::tasks::fail;
using test::tasks::multiply;
using test::tasks::ring_and_pass;

namespace {

/// Its destructor rings, where its bell is not empty.
struct Witness {
    std::string bell;

    Witness() = default;
    explicit Witness(std::string path) : bell(std::move(path)) {}
    Witness(Witness&& other) noexcept : bell(std::exchange(other.bell, {})) {}
    Witness& operator=(Witness&& other) noexcept {
        bell = std::exchange(other.bell, {});
        return *this;
    }
    ~Witness() {
        if (armed && !bell.empty()) {
            test::ring(bell);
        }
    }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& bell;
        armed = Archive::is_loading::value;
    }

    bool armed = false;
};

void look_at(const Witness&) {}

}  // namespace

TEST_CASE("ProcessPoolExecutorTest.test_killed_child: breaks the pool", "[ported]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate bell;
    const Gate gate;
    auto future = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    REQUIRE(pool.workers().size() == 1);
    kill(pool.workers()[0], SIGTERM);
    expect_broken(future, "SIGTERM");
    CHECK_THROWS_AS(pool.submit(multiply, 2, 8), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_broken_process_pool_traceback: each future has its "
    "own "
    "exception",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> all;
    for (int i = 0; i < 5; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    REQUIRE(bell.wait_for(1));
    kill(pool.workers()[0], SIGKILL);
    std::set<const void*> objects;
    for (const auto& future : all) {
        try {
            std::rethrow_exception(future.exception(30s));
        } catch (const BrokenProcessPool& error) {
            objects.insert(&error);
        }
    }
    CHECK(objects.size() == 5);
}

TEST_CASE("ProcessPoolExecutorTest.test_map_chunksize: any size from 1", "[ported]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    std::vector<int> numbers(40);
    std::iota(numbers.begin(), numbers.end(), 0);
    for (const int chunksize : {6, 40, 50}) {
        std::vector<int> results;
        for (const int x :
             pool.map({.chunksize = chunksize}, multiply, numbers, numbers)) {
            results.push_back(x);
        }
        REQUIRE(results.size() == 40);
        CHECK(results[39] == 39 * 39);
    }
    CHECK_THROWS_AS(
        pool.map({.chunksize = -1}, multiply, numbers, numbers), std::invalid_argument
    );
}

TEST_CASE("ProcessPoolExecutorTest.test_traceback: the cause tells where", "[ported]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    try {
        pool.submit(fail).result();
        FAIL("no exception");
    } catch (const std::runtime_error& error) {
        CHECK(std::string(error.what()) == "failed on purpose");
        const auto pid_text = std::to_string(pool.workers().at(0));
        CHECK_THROWS_WITH(
            std::rethrow_if_nested(error), test::ContainsSubstring(pid_text)
        );
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_traceback_when_child_process_terminates_abruptly: "
    "names "
    "the exit code",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    expect_broken(pool.submit(exit_now, 99), "exited with code 99");
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers: arguments go with the "
    "task",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    const Gate bell;
    pool.submit(look_at, Witness(bell.path())).result();
    CHECK(bell.wait_for(1));
}

TEST_CASE("ProcessPoolExecutorTest.test_saturation: exactly max_workers", "[ported]") {
    constexpr int workers = 3;
    ProcessPoolExecutor pool(on(each_pool_start_method(), workers));
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> all;
    for (int i = 0; i < 15 * workers; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    REQUIRE(bell.wait_for(workers));
    CHECK(pool.workers().size() == workers);
    gate.open(15 * workers);
    for (const auto& future : all) {
        future.result();
    }
    CHECK(pool.statistics().workers_started == workers);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_idle_process_reuse_one: one is enough", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_replacing_method(), 4));
    CHECK(pool.submit(multiply, 21, 2).result() == 42);
    CHECK(pool.submit(multiply, 6, 7).result() == 42);
    CHECK(pool.submit(multiply, 3, 14).result() == 42);
    CHECK(pool.workers().size() == 1);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_idle_process_reuse_multiple: three for three at a "
    "time",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_replacing_method(), 4));
    pool.submit(multiply, 12, 7).result();
    pool.submit(multiply, 33, 25);
    pool.submit(multiply, 25, 26).result();
    pool.submit(multiply, 18, 29);
    pool.submit(multiply, 1, 2).result();
    pool.submit(multiply, 0, 9);
    CHECK(pool.workers().size() <= 3);
    pool.shutdown();
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_python_finalization_error: without a thread, submit "
    "throws and shutdown works",
    "[ported]"
) {
    // In a process that may have no second thread.
    mp::Process child({.start_method = StartMethod::fork}, [] {
        ProcessPoolExecutor pool(on(mp::get_context(StartMethod::spawn), 1));
        rlimit none{};
        getrlimit(RLIMIT_AS, &none);
        // A stack too large for those that glibc keeps, and for the address space left.
        pthread_attr_t attributes;
        pthread_attr_init(&attributes);
        pthread_attr_setstacksize(&attributes, std::size_t{256} << 20U);
        pthread_setattr_default_np(&attributes);
        std::ifstream statm("/proc/self/statm");
        std::size_t pages = 0;
        statm >> pages;
        none.rlim_cur = pages * mp::os::page_size() + (std::size_t{1} << 20U);
        setrlimit(RLIMIT_AS, &none);
        int code = 1;
        try {
            pool.submit(multiply, 1, 2);
        } catch (const std::system_error&) {
            code = 0;
        } catch (const std::bad_alloc&) {
            code = 2;
        }
        none.rlim_cur = none.rlim_max;
        setrlimit(RLIMIT_AS, &none);
        pool.shutdown();
        throw mp::SystemExit(code);
    });
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_sysconf_permission_error: limits make the arenas "
    "smaller",
    "[ported]"
) {
    mp::Process child({.start_method = StartMethod::fork}, [] {
        rlimit limit{};
        getrlimit(RLIMIT_FSIZE, &limit);
        limit.rlim_cur = std::size_t{64} << 20U;
        setrlimit(RLIMIT_FSIZE, &limit);
        ProcessPoolExecutor pool(on(quick_pool_context(), 1));
        throw mp::SystemExit(pool.submit(multiply, 6, 7).result() == 42 ? 0 : 1);
    });
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
}
