// SPDX-License-Identifier: BSL-1.0
// What else may go wrong around one task: while it is written, read, run, and told of.
// The cases: docs/faults.md.
#include "futures/process_pool.hpp"
#include "futures/process_pool/row_tasks.hpp"
#include "mp/process.hpp"

#include "ported/pool_tasks.hpp"
#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/gone.hpp"
#include "support/log_capture.hpp"
#include "support/pools.hpp"
#include "support/proc.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstddef>
#include <cstdlib>
#include <fstream>
#include <new>
#include <stdexcept>
#include <string>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;
using futures::BrokenProcessPool;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using mp::SerializationPhase;
using mp::StartMethod;
using test::Gate;
using test::gone_within;
using test::inc;
using test::on;
using test::rows::Deed;
using test::rows::expect_lost;
using test::rows::give;
using test::rows::Misbehaving;
using test::rows::take;
using test::tasks::ring_and_pass;

namespace {

ProcessPoolOptions corner_pool() {
    const auto context = each_pool_start_method();
    return on(context, GENERATE(1, 2, 8), OnWorkerLoss::isolate);
}

/// Waits when it is written, or when it is read, if it has gates for that.
struct Waiting {
    std::string written_bell;
    std::string read_bell;
    std::string gate;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if (Archive::is_saving::value && !written_bell.empty()) {
            ring_and_pass(written_bell, gate, 0);
        }
        archive& read_bell& gate;
        if (Archive::is_loading::value && !read_bell.empty()) {
            ring_and_pass(read_bell, gate, 0);
        }
    }
};

int see_waiting(const Waiting&) {
    return 1;
}

Waiting give_waiting(const std::string& bell, const std::string& gate) {
    return {{}, bell, gate};
}

struct WithoutMemory {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::bad_alloc();
    }
};

int see_without_memory(const WithoutMemory&) {
    return 1;
}

int ring_and_stay(const std::string& bell) {
    test::ring(bell);
    test::block_until_killed();
}

/// In a session of its own, with a child in another one.
int leave_the_session(const std::string& bell) {
    setsid();
    if (fork() == 0) {
        setsid();
        signal(SIGHUP, SIG_IGN);
        test::ring(bell);
        test::block_until_killed();
    }
    test::block_until_killed();
}

std::string give_long_text(std::size_t size) {
    return std::string(size, 'x');
}

std::string ring_and_give_long_text(const std::string& bell, std::size_t size) {
    test::ring(bell);
    return give_long_text(size);
}

int hang_at_exit() {
    std::atexit([] { test::block_until_killed(); });
    return 1;
}

void block_in_initializer() {
    test::block_until_killed();
}

int descriptors_here() {
    return test::open_descriptors();
}

/// A pool in a task, as deep as it says; the innermost task waits. Each leaves its
/// number in a file.
int nest(int depth, const std::string& bell, const std::string& folder) {
    std::ofstream(folder + "/" + std::to_string(depth)) << getpid();
    if (depth == 0) {
        return ring_and_stay(bell);
    }
    ProcessPoolExecutor pool({.max_workers = 1, .on_worker_loss = OnWorkerLoss::isolate}
    );
    return pool.submit(nest, depth - 1, bell, folder).result();
}

pid_t pid_in(const std::string& path) {
    pid_t pid = 0;
    std::ifstream(path) >> pid;
    return pid;
}

class BlockingInput {
public:
    BlockingInput(std::string bell, std::string gate)
        : bell_(std::move(bell)), gate_(std::move(gate)) {}

    class Iterator {
    public:
        explicit Iterator(BlockingInput* from) : from_(from) {}

        int operator*() const { return ring_and_pass(from_->bell_, from_->gate_, 1); }

        Iterator& operator++() {
            from_->ended_ = true;
            return *this;
        }

        bool operator!=(const Iterator&) const { return !from_->ended_; }

    private:
        BlockingInput* from_;
    };

    Iterator begin() { return Iterator(this); }

    Iterator end() { return Iterator(this); }

private:
    std::string bell_;
    std::string gate_;
    bool ended_ = false;
};

}  // namespace

TEST_CASE("A5: an argument is written slowly, and all workers leave", "[faults]") {
    const test::LogCapture log;
    const Gate bell;
    const Gate gate;
    auto options = corner_pool();
    options.idle_timeout = 1ms;
    ProcessPoolExecutor pool(options);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    Future<int> slow;
    std::thread submitting([&] {
        slow = pool.submit(see_waiting, Waiting{bell.path(), {}, gate.path()});
    });
    REQUIRE(bell.wait_for(1));
    while (!pool.workers().empty()) {
        std::this_thread::yield();
    }
    gate.open(1);
    submitting.join();
    CHECK(slow.result(60s) == 1);
}

TEST_CASE("A8: there is no memory to write an argument", "[faults]") {
    ProcessPoolExecutor pool(corner_pool());
    const auto bad = pool.submit(see_without_memory, WithoutMemory());
    CHECK_THROWS_AS(bad.result(60s), mp::SerializationError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("A10: ten threads submit, map and cancel", "[faults]") {
    ProcessPoolExecutor pool(corner_pool());
    std::atomic<int> wrong{0};
    std::vector<std::thread> threads;
    for (int t = 0; t < 10; ++t) {
        threads.emplace_back([&pool, &wrong, t] {
            for (int i = 0; i < 20; ++i) {
                const auto one = pool.submit(inc, i);
                const auto other = pool.submit(inc, i);
                const bool cancelled = other.cancel();
                wrong += one.result(60s) == i + 1 ? 0 : 1;
                wrong += cancelled == other.cancelled() ? 0 : 1;
                if (i % 5 == t % 5) {
                    const auto mapped = pool.map(inc, {1, 2, 3}).to_vector();
                    wrong += mapped == std::vector{2, 3, 4} ? 0 : 1;
                }
            }
        });
    }
    for (auto& thread : threads) {
        thread.join();
    }
    CHECK(wrong == 0);
}

TEST_CASE("B3 D3: reading or writing ends the worker by an exit", "[faults]") {
    ProcessPoolExecutor pool(corner_pool());
    const auto read = pool.submit(take, Misbehaving{.when_read = Deed::exit_at_once});
    CHECK(expect_lost(read).report().exit_code == 0);
    const auto written = pool.submit(give, Deed::exit_at_once, Deed::none);
    CHECK(expect_lost(written).report().exit_code == 0);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C11: a worker gets SIGTERM from outside", "[faults]") {
    const Gate bell;
    ProcessPoolExecutor pool(corner_pool());
    const auto runs = pool.submit(ring_and_stay, bell.path());
    REQUIRE(bell.wait_for(1));
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGTERM);
    }
    CHECK(expect_lost(runs).report().signal == SIGTERM);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
}

TEST_CASE("C29: a task leaves its session, and so does its child", "[faults]") {
    const Gate bell;
    ProcessPoolExecutor pool(corner_pool());
    const auto runs = pool.submit({.kill_after = 20ms}, leave_the_session, bell.path());
    REQUIRE(bell.wait_for(1));
    CHECK(runs.cancel(futures::running));
    CHECK_THROWS_AS(runs.result(60s), futures::CancelledError);
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    // The case's listener finds what is left.
}

TEST_CASE("D7: a long result comes while nobody takes results", "[faults]") {
    constexpr std::size_t size = 50'000'000;
    const Gate first;
    const Gate bell;
    const Gate gate;
    const Gate given;
    ProcessPoolExecutor pool(corner_pool());
    const auto held = pool.submit(test::pass, first.path());
    held.add_done_callback([&](const auto&) {
        ring_and_pass(bell.path(), gate.path(), 0);
    });
    first.open(1);
    REQUIRE(bell.wait_for(1));
    std::vector<Future<std::string>> all;
    for (int i = 0; i < 4; ++i) {
        all.push_back(pool.submit(ring_and_give_long_text, given.path(), size));
    }
    REQUIRE(given.wait_for(1));
    gate.open(1);
    for (const auto& one : all) {
        CHECK(one.result(60s).size() == size);
    }
}

TEST_CASE("E4: a worker dies while its result is read here", "[faults]") {
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(corner_pool());
    const auto future = pool.submit(give_waiting, bell.path(), gate.path());
    std::thread reading([&] { future.result(60s); });
    REQUIRE(bell.wait_for(1));
    for (const pid_t worker : pool.workers()) {
        kill(worker, SIGKILL);
    }
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    gate.open(1);
    reading.join();
    CHECK(future.result(60s).gate == gate.path());
}

// The pool waits ten seconds for each worker's end, in every case.
TEST_CASE("G7: an exit handler of a task hangs", "[faults][slow]") {
    const test::LogCapture log;
    std::vector<pid_t> workers;
    {
        ProcessPoolExecutor pool(on(each_pool_start_method(), 2, OnWorkerLoss::isolate)
        );
        CHECK(pool.submit(hang_at_exit).result(60s) == 1);
        workers = pool.workers();
    }
    CHECK(gone_within(workers, 1s));
}

TEST_CASE("H3: an initializer hangs", "[faults]") {
    const test::LogCapture log;
    auto options = corner_pool();
    options.initializer = mp::call(block_in_initializer);
    options.initializer_timeout = 300ms;
    ProcessPoolExecutor pool(std::move(options));
    const auto future = pool.submit(inc, 1);
    CHECK_THROWS_AS(future.result(60s), BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(inc, 1), BrokenProcessPool);
}

TEST_CASE("H16: the program has hundreds of descriptors open", "[faults]") {
    const auto method = GENERATE(StartMethod::spawn, StartMethod::forkserver);
    std::vector<int> open;
    for (int i = 0; i < 300; ++i) {
        open.push_back(::open("/dev/null", O_RDONLY));  // for children, too
    }
    {
        ProcessPoolExecutor pool(on(mp::get_context(method), 2, OnWorkerLoss::isolate));
        CHECK(pool.submit(descriptors_here).result(60s) < 100);
    }
    for (const int fd : open) {
        ::close(fd);
    }
}

TEST_CASE("L5: an input that blocks holds up no other task", "[faults]") {
    const test::LogCapture log;  // of a fork beside a thread
    const Gate bell;
    const Gate gate;
    ProcessPoolExecutor pool(corner_pool());
    std::vector<int> mapped;
    std::thread mapping([&] {
        BlockingInput input(bell.path(), gate.path());
        for (const int result : pool.map(inc, input)) {
            mapped.push_back(result);
        }
    });
    const bool blocks = bell.wait_for(1);
    const int meanwhile = pool.submit(inc, 1).result(60s);
    gate.open(1);
    mapping.join();
    CHECK(blocks);
    CHECK(meanwhile == 2);
    CHECK(mapped == std::vector{2});
}

TEST_CASE("L6: what a callback throws harms nobody", "[faults]") {
    const test::LogCapture log;
    ProcessPoolExecutor pool(corner_pool());
    const auto future = pool.submit(inc, 1);
    future.add_done_callback([](const Future<int>&) {
        throw std::domain_error("the callback's");
    });
    CHECK(future.result(60s) == 2);
    CHECK(pool.submit(inc, 2).result(60s) == 3);
    pool.shutdown();
    CHECK_THAT(log.text(), test::ContainsSubstring("the callback's"));
}

TEST_CASE(
    "M5: the middle one of nested workers is killed: what is below it goes, the one "
    "above is told",
    "[faults]"
) {
    const test::LogCapture log;
    const Gate bell;
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const test::TempDir folder;
    const auto outer = pool.submit(nest, 2, bell.path(), std::string(folder.path()));
    REQUIRE(bell.wait_for(1));
    const pid_t innermost = pid_in(folder.path() / "0");
    REQUIRE(innermost > 0);
    kill(pid_in(folder.path() / "1"), SIGKILL);
    CHECK_THROWS_AS(outer.result(60s), futures::WorkerLost);
    CHECK(gone_within({innermost}, 1s));
    CHECK(pool.submit(inc, 1).result(60s) == 2);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("M9: a parent is stopped, and then killed", "[faults]") {
    const auto method = each_pool_start_method().get_start_method();
    const Gate bell;
    const Gate pids;
    mp::Process program(
        {.start_method = StartMethod::fork},
        [](StartMethod inner, const std::string& path, const std::string& pids_path) {
            ProcessPoolExecutor pool(
                on(mp::get_context(inner), 1, OnWorkerLoss::isolate)
            );
            pool.submit(ring_and_stay, path);
            const int fd = ::open(pids_path.c_str(), O_WRONLY);
            pool.bootup();
            const pid_t worker = pool.workers().at(0);
            static_cast<void>(::write(fd, &worker, sizeof worker) > 0);
            test::block_until_killed();
        },
        method,
        bell.path(),
        pids.path()
    );
    program.start();
    REQUIRE(bell.wait_for(1));
    pid_t worker = 0;
    const int fd = ::open(pids.path().c_str(), O_RDONLY | O_CLOEXEC);
    REQUIRE(::read(fd, &worker, sizeof worker) == sizeof worker);
    ::close(fd);
    kill(program.pid(), SIGSTOP);
    program.kill();
    program.join();
    CHECK(gone_within({worker}, 1s));
}
