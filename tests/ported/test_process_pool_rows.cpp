// SPDX-License-Identifier: BSL-1.0
// The behaviours that CPython's tests of ProcessPoolExecutor check, by their ids.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/start_methods.hpp"

#include <pthread.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <fstream>
#include <numeric>
#include <optional>
#include <set>
#include <string>
#include <thread>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::Context;
using mp::StartMethod;
using test::Gate;

namespace {

int multiply(int a, int b) {
    return a * b;
}

pid_t pid() {
    return getpid();
}

int ring_and_pass(const std::string& bell, const std::string& gate, int value) {
    test::ring(bell);
    test::pass(gate);
    return value;
}

void ring_twice_around(const std::string& bell, const std::string& gate) {
    test::ring(bell);
    test::pass(gate);
    test::ring(bell);
}

void exit_now(int code) {
    _exit(code);
}

void fail() {
    throw std::runtime_error("failed on purpose");
}

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

template <class T>
void expect_broken(const Future<T>& future, const std::string& text) {
    try {
        future.result(30s);
        FAIL_CHECK("no exception");
    } catch (const BrokenProcessPool& error) {
        CHECK_THAT(error.what(), test::ContainsSubstring(text));
    }
}

ProcessPoolOptions on(const Context& context, int workers) {
    ProcessPoolOptions options;
    options.max_workers = workers;
    options.mp_context = context;
    return options;
}

/// spawn and forkserver: the methods that max_tasks_per_child can be used with.
Context each_replacing_method() {
    return mp::get_context(GENERATE(StartMethod::spawn, StartMethod::forkserver));
}

void expect_gone(const std::vector<pid_t>& pids) {
    for (const pid_t process : pids) {
        CHECK(kill(process, 0) != 0);
    }
}

}  // namespace

TEST_CASE("ProcessPoolExecutorTest.test_killed_child: breaks the pool", "[ported]") {
    ProcessPoolExecutor pool(on(each_start_method(), 1));
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
    ProcessPoolExecutor pool(on(each_start_method(), 1));
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
    ProcessPoolExecutor pool(on(each_start_method(), 2));
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
    ProcessPoolExecutor pool(on(each_start_method(), 1));
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
    ProcessPoolExecutor pool(on(each_start_method(), 1));
    expect_broken(pool.submit(exit_now, 99), "exited with code 99");
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_ressources_gced_in_workers: arguments go with the "
    "task",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_start_method(), 1));
    const Gate bell;
    pool.submit(look_at, Witness(bell.path())).result();
    CHECK(bell.wait_for(1));
}

TEST_CASE("ProcessPoolExecutorTest.test_saturation: exactly max_workers", "[ported]") {
    constexpr int workers = 3;
    ProcessPoolExecutor pool(on(each_start_method(), workers));
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
    "ProcessPoolExecutorTest.test_max_tasks_per_child: the fourth task has another "
    "process",
    "[ported]"
) {
    ProcessPoolOptions refused = on(mp::get_context(StartMethod::fork), 1);
    refused.max_tasks_per_child = 3;
    CHECK_THROWS_AS(ProcessPoolExecutor(refused), std::invalid_argument);

    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 3;
    ProcessPoolExecutor pool(options);
    const pid_t first = pool.submit(pid).result();
    CHECK(pool.submit(pid).result() == first);
    CHECK(pool.submit(pid).result() == first);
    const pid_t second = pool.submit(pid).result();
    CHECK(second != first);
    CHECK(pool.workers() == std::vector{second});
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_per_child_defaults_to_spawn_context: it "
    "does",
    "[ported]"
) {
    ProcessPoolExecutor pool({.max_workers = 1, .max_tasks_per_child = 3});
    const auto name = pool.submit([] { return mp::current_process().name(); }).result();
    CHECK_THAT(name, test::StartsWith("SpawnProcess"));
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_per_child_pending_tasks_gh115634: a "
    "backlog is "
    "worked off",
    "[ported]"
) {
    const auto [workers, tasks, jobs] =
        GENERATE(std::tuple(1, 2, 6), std::tuple(2, 2, 8));
    ProcessPoolOptions options = on(mp::get_context(StartMethod::forkserver), workers);
    options.max_tasks_per_child = tasks;
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    for (int i = 0; i < jobs; ++i) {
        all.push_back(pool.submit(multiply, i, 1));
    }
    for (int i = 0; i < jobs; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(60s) == i);
    }
    CHECK(pool.statistics().workers_started >= static_cast<unsigned>(jobs / tasks));
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_shutdown_no_wait_max_tasks_gh119592: the rest is "
    "done",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 1;
    std::vector<Future<int>> all;
    {
        ProcessPoolExecutor pool(options);
        for (int i = 0; i < 4; ++i) {
            all.push_back(pool.submit(multiply, i, 2));
        }
        pool.shutdown({.wait = false});
    }
    for (int i = 0; i < 4; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == 2 * i);
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_gc_during_max_tasks_worker_exit_gh152967: no future "
    "stays pending when the executor goes",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 1);
    options.max_tasks_per_child = 1;
    std::vector<Future<int>> all;
    {
        ProcessPoolExecutor pool(options);
        for (int i = 0; i < 3; ++i) {
            all.push_back(pool.submit(multiply, i, 2));
        }
        all[0].result();
    }
    for (const auto& future : all) {
        CHECK(future.done());
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_during_max_tasks_worker_exit: no "
    "replacement is started",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolOptions options = on(mp::get_context(StartMethod::forkserver), 1);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(ring_and_pass, bell.path(), gate.path(), 7);
    auto queued = pool.submit(multiply, 1, 1);
    REQUIRE(bell.wait_for(1));
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    expect_broken(running, "forcefully shut down");
    expect_broken(queued, "forcefully shut down");
    pool.shutdown();
    CHECK(pool.statistics().workers_started == 1);
    CHECK(pool.workers().empty());
}

// Not under a sanitizer: it looks at memory through a pipe, for which no number is
// left.
TEST_CASE(
    "ProcessPoolExecutorTest.test_failed_worker_replacement_breaks_pool: nothing is "
    "left "
    "pending",
    "[ported][no-asan]"
) {
    ProcessPoolOptions options = on(mp::get_context(StartMethod::spawn), 1);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    const Gate bell;
    const Gate gate;
    auto first = pool.submit(ring_and_pass, bell.path(), gate.path(), 7);
    auto second = pool.submit(multiply, 1, 1);
    REQUIRE(bell.wait_for(1));
    // From now on no process can be started: there is no descriptor left for it.
    rlimit before{};
    getrlimit(RLIMIT_NOFILE, &before);
    rlimit none = before;
    none.rlim_cur = 4;
    setrlimit(RLIMIT_NOFILE, &none);
    const char byte = 'x';
    const int fd = ::dup(0);
    static_cast<void>(fd);
    gate.open(1);
    static_cast<void>(byte);
    const auto error = second.exception(60s);
    setrlimit(RLIMIT_NOFILE, &before);
    CHECK(first.result() == 7);
    REQUIRE(error);
    expect_broken(second, "could be started");
    CHECK_THROWS_AS(pool.submit(multiply, 1, 1), BrokenProcessPool);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_max_tasks_early_shutdown: all results arrive",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 3);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    std::vector<Future<int>> all;
    for (int i = 0; i < 6; ++i) {
        all.push_back(pool.submit(multiply, i, i));
    }
    pool.shutdown();
    for (int i = 0; i < 6; ++i) {
        CHECK(all[static_cast<std::size_t>(i)].result(0s) == i * i);
    }
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
        none.rlim_cur = pages * 4096 + (std::size_t{1} << 20U);
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
        ProcessPoolExecutor pool(on(mp::get_context(StartMethod::fork), 1));
        throw mp::SystemExit(pool.submit(multiply, 6, 7).result() == 42 ? 0 : 1);
    });
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_terminate_workers: ends by SIGTERM", "[ported]"
) {
    ProcessPoolExecutor pool(on(each_start_method(), 2));
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(ring_and_pass, bell.path(), gate.path(), 1);
    REQUIRE(bell.wait_for(1));
    const auto pids = pool.workers();
    pool.terminate_workers();
    expect_broken(running, "forcefully");
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE("ProcessPoolExecutorTest.test_kill_workers: ends by SIGKILL", "[ported]") {
    ProcessPoolExecutor pool(on(each_start_method(), 2));
    const Gate bell;
    const Gate gate;
    auto running = pool.submit(
        [](const std::string& to_ring, const std::string& to_pass) {
            signal(SIGTERM, SIG_IGN);
            ring_and_pass(to_ring, to_pass, 0);
        },
        bell.path(),
        gate.path()
    );
    REQUIRE(bell.wait_for(1));
    const auto pids = pool.workers();
    pool.kill_workers();
    expect_broken(running, "forcefully");
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers: a task that waits for ever "
    "ends",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    const Gate bell;
    const Gate gate;
    auto future = pool.submit(ring_twice_around, bell.path(), gate.path());
    REQUIRE(bell.wait_for(1));
    const auto child = mp::active_children().at(0);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK(child.join(30s));
    CHECK(child.exitcode() == (terminate ? -SIGTERM : -SIGKILL));
    expect_broken(future, "forcefully");
    gate.open(1);
    pool.shutdown();
    // Nobody is left to ring a second time.
    pollfd poller{::open(bell.path().c_str(), O_RDONLY | O_CLOEXEC), POLLIN, 0};
    CHECK(::poll(&poller, 1, 0) == 0);
    ::close(poller.fd);
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_dead_workers: raises nothing",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    expect_broken(pool.submit(exit_now, 1), "code 1");
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_not_started_yet: signals "
    "nobody",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(1);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK(pool.workers().empty());
}

TEST_CASE(
    "ProcessPoolExecutorTest.test_force_shutdown_workers_stops_pool: submit is refused",
    "[ported]"
) {
    const bool terminate = GENERATE(true, false);
    ProcessPoolExecutor pool(on(mp::get_context(StartMethod::forkserver), 1));
    const pid_t worker = pool.submit(pid).result();
    const auto child = mp::active_children().at(0);
    REQUIRE(child.pid() == worker);
    if (terminate) {
        pool.terminate_workers();
    } else {
        pool.kill_workers();
    }
    CHECK_THROWS_AS(pool.submit(pid), mp::StateError);
    CHECK(child.join(30s));
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_processes_terminate: as many as needed, then none",
    "[ported]"
) {
    const Context context = each_start_method();
    constexpr std::size_t max_workers = 4;
    ProcessPoolExecutor pool(on(context, max_workers));
    const Gate bell;
    const Gate gate;
    for (int i = 0; i < 3; ++i) {
        pool.submit(ring_and_pass, bell.path(), gate.path(), i);
    }
    REQUIRE(bell.wait_for(3));
    const auto pids = pool.workers();
    CHECK(
        pids.size() ==
        (context.get_start_method() == StartMethod::fork ? max_workers : 3)
    );
    gate.open(3);
    pool.shutdown();
    expect_gone(pids);
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_context_manager_shutdown: the scope waits", "[ported]"
) {
    std::vector<pid_t> pids;
    const std::vector<int> numbers{-1, 2, -3, 4};
    std::vector<int> results;
    {
        ProcessPoolExecutor pool(on(each_start_method(), 2));
        for (const int x : pool.map(multiply, numbers, numbers)) {
            results.push_back(x);
        }
        pids = pool.workers();
    }
    CHECK(results == std::vector{1, 4, 9, 16});
    expect_gone(pids);
}

TEST_CASE("ProcessPoolShutdownTest.test_del_shutdown: results complete", "[ported]") {
    const std::vector<int> numbers{-1, 2, -3, 4};
    std::optional<futures::MapResults<int>> results;
    std::vector<pid_t> pids;
    {
        ProcessPoolExecutor pool(on(each_start_method(), 2));
        results.emplace(pool.map(multiply, numbers, numbers));
        pids = pool.workers();
    }
    std::vector<int> values;
    for (const int x : *results) {
        values.push_back(x);
    }
    CHECK(values == std::vector{1, 4, 9, 16});
    expect_gone(pids);
}

TEST_CASE("ProcessPoolShutdownTest.test_shutdown_no_wait: ends by itself", "[ported]") {
    const std::vector<int> numbers{-1, 2, -3, 4};
    ProcessPoolExecutor pool(on(each_start_method(), 2));
    auto results = pool.map(multiply, numbers, numbers);
    pool.shutdown({.wait = false});
    std::vector<int> values;
    for (const int x : results) {
        values.push_back(x);
    }
    CHECK(values == std::vector{1, 4, 9, 16});
    for (const auto& child : mp::active_children()) {
        CHECK(child.join(30s));
    }
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_1: a failing last task is no "
    "trouble",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 2);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    auto one = pool.submit(pid);
    auto two = pool.submit(fail);
    auto three = pool.submit(pid);
    pool.shutdown({.wait = false});
    CHECK(one.result(60s) > 0);
    CHECK_THROWS_WITH(two.result(60s), "failed on purpose");
    CHECK(three.result(60s) > 0);
}

TEST_CASE(
    "ProcessPoolShutdownTest.test_shutdown_gh_132969_case_2: with more workers than "
    "tasks",
    "[ported]"
) {
    ProcessPoolOptions options = on(each_replacing_method(), 4);
    options.max_tasks_per_child = 1;
    ProcessPoolExecutor pool(options);
    auto one = pool.submit(pid);
    auto two = pool.submit(fail);
    auto three = pool.submit(pid);
    pool.shutdown({.wait = false});
    CHECK(one.result(60s) > 0);
    CHECK_THROWS_WITH(two.result(60s), "failed on purpose");
    CHECK(three.result(60s) > 0);
}

TEST_CASE(
    "ExecutorShutdownTest.test_cancel_futures, process pool: most are cancelled, none "
    "stays "
    "pending",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_start_method(), 2));
    const Gate bell;
    const Gate gate;
    std::vector<Future<int>> all;
    for (int i = 0; i < 50; ++i) {
        all.push_back(pool.submit(ring_and_pass, bell.path(), gate.path(), i));
    }
    REQUIRE(bell.wait_for(1));
    gate.open(50);
    pool.shutdown({.cancel_futures = true});
    std::size_t cancelled = 0;
    for (const auto& future : all) {
        REQUIRE(future.done());
        cancelled += future.cancelled();
    }
    CHECK(cancelled < 50);
}

TEST_CASE(
    "ExecutorShutdownTest.test_hang_gh94440, process pool: submit, cancel, shutdown",
    "[ported]"
) {
    ProcessPoolExecutor pool(on(each_start_method(), 1));
    pool.submit(pid).result();
    pool.submit(pid).cancel();
    pool.shutdown();
}

TEST_CASE(
    "ExecutorShutdownTest.test_interpreter_shutdown, process pool: exit waits for the "
    "work",
    "[ported]"
) {
    const Context context = each_start_method();
    const Gate bell;
    mp::Process child(
        {.start_method = StartMethod::fork},
        [](const std::string& path, StartMethod inner) {
            auto* const pool = new ProcessPoolExecutor(on(mp::get_context(inner), 2));
            pool->submit(test::ring, path);
            pool->submit(test::ring, path);
        },
        bell.path(),
        context.get_start_method()
    );
    child.start();
    child.join();
    CHECK(child.exitcode().value_or(-1000) == 0);
    CHECK(bell.wait_for(2));
}
