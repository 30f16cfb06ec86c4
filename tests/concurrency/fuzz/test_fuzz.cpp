// SPDX-License-Identifier: BSL-1.0
// Random programs, step by step against a model of what they use. MP_TEST_SEEDS says
// how many, MP_TEST_SEED which single one; a program that hangs has its seed for its
// thread's name.
#include "futures/thread_pool.hpp"

#include "concurrency/run.hpp"
#include "concurrency/testing.hpp"
#include "fuzz_world.hpp"
#include "support/backends.hpp"
#include "support/catch.hpp"

#include <boost/asio/io_context.hpp>

#include <pthread.h>

#include <chrono>
#include <cstdlib>
#include <functional>
#include <string>
#include <thread>
#include <vector>

using concurrency::Backend;
using concurrency::testing::MockClock;
using test::Fuzz;
using test::FuzzOperations;
using test::FuzzTime;
using test::FuzzWorld;

namespace {

unsigned number_said(const char* variable, unsigned usual) {
    const char* const said = std::getenv(variable);
    return said == nullptr ? usual : static_cast<unsigned>(std::stoul(said));
}

/// The seeds of a case.
class Seeds {
public:
    explicit Seeds(unsigned usual)
        : first_(number_said("MP_TEST_SEED", 1)),
          last_(
              std::getenv("MP_TEST_SEED") != nullptr
                  ? first_
                  : number_said("MP_TEST_SEEDS", usual)
          ) {}

    /// Calls `use` with each.
    template <class Use>
    void each(Use use) const {
        char before[16];
        pthread_getname_np(pthread_self(), before, sizeof before);
        for (unsigned seed = first_; seed <= last_; ++seed) {
            pthread_setname_np(
                pthread_self(), ("seed " + std::to_string(seed)).c_str()
            );
            use(seed);
        }
        pthread_setname_np(pthread_self(), before);
    }

    /// How many there are; 0 if it is a single one.
    int count() const noexcept { return static_cast<int>(last_ - first_); }

private:
    unsigned first_;
    unsigned last_;
};

/// How a program runs, by its seed.
struct Way {
    explicit Way(unsigned seed)
        : backend(static_cast<Backend>(seed % 3)),
          time(backend == Backend::io_context ? FuzzTime::mocked : FuzzTime::real) {}

    const char* name() const noexcept {
        switch (backend) {
        case Backend::io_context:
            return "io_context";
        case Backend::thread_pool:
            return "thread_pool";
        case Backend::system_executor:
            break;
        }
        return "system_executor";
    }

    Backend backend;
    FuzzTime time;
};

FuzzOperations all_of(std::vector<FuzzOperations> parts) {
    FuzzOperations all;
    for (const FuzzOperations& part : parts) {
        all.insert(all.end(), part.begin(), part.end());
    }
    return all;
}

FuzzOperations without_threads() {
    return all_of(
        {test::block_operations(),
         test::block_operations(),
         test::primitive_operations(),
         test::condition_operations(),
         test::stream_operations(),
         test::priority_queue_operations(),
         test::pattern_operations()}
    );
}

FuzzOperations with_threads() {
    return all_of({without_threads(), test::thread_operations()});
}

/// What happened in all programs of a case.
struct Sums {
    int tasks = 0;
    int cancelled = 0;
    int errors = 0;
    int calls = 0;

    void add(const Fuzz& fuzz) {
        tasks += fuzz.tasks;
        cancelled += fuzz.cancelled_blocks;
        errors += fuzz.thrown;
        calls += fuzz.world.counters->begun;
    }

    // It would prove little if not much happened.
    void check(int count) const {
        CHECK(tasks > 10 * count);
        CHECK(cancelled > 8 * count);
        CHECK(errors > count);
    }
};

// Calls that were abandoned go on, and use nothing of the program's.
void wait_for_threads(const FuzzWorld& world) {
    while (world.counters->begun != world.counters->ended) {
        std::this_thread::yield();
    }
}

void complain(unsigned seed, const char* backend, const std::string& problem) {
    if (!problem.empty()) {
        FAIL_CHECK(
            problem << "; again by MP_TEST_SEED=" << seed << ", which is " << backend
        );
    }
}

// Runs a program to its end.
void run_program(
    unsigned seed,
    const FuzzOperations& operations,
    futures::ThreadPoolExecutor* pool,
    Sums& sums
) {
    const Way way(seed);
    std::string problem;
    const int items = test::FuzzItem::alive();
    {
        FuzzWorld world;
        world.pool = pool;
        Fuzz fuzz({.seed = seed, .time = way.time}, operations, world);
        const auto main = [&] {
            return fuzz.main();
        };
        try {
            if (way.time == FuzzTime::real) {
                concurrency::run(main, way.backend);
            } else {
                MockClock clock(0, pool == nullptr ? 0 : 0.0002);
                concurrency::run(main, clock, way.backend);
            }
            problem = fuzz.problem();
        } catch (...) {
            problem = fuzz.problem() + ", and " +
                      test::in_words(std::current_exception()) + " comes out";
        }
        wait_for_threads(world);
        if (problem.empty() && world.counters->most_running > 2) {
            problem = "more threads than the limiter has tokens";
        }
        sums.add(fuzz);
    }
    if (problem.empty() && test::FuzzItem::alive() != items) {
        problem = "items were lost, or destroyed twice";
    }
    complain(seed, way.name(), problem);
}

// Runs a program until it is stopped in some step.
bool stop_program(
    unsigned seed, const FuzzOperations& operations, futures::ThreadPoolExecutor* pool
) {
    bool is_stopped = false;
    std::string problem;
    const int items = test::FuzzItem::alive();
    {
        FuzzWorld world;
        world.pool = pool;
        boost::asio::io_context context;
        MockClock clock(0, pool == nullptr ? 0 : 0.0002);
        Fuzz fuzz({.seed = seed, .steps = 200}, operations, world);
        fuzz.stop_somewhere([&] { context.stop(); });
        const auto main = [&] {
            return fuzz.main();
        };
        try {
            concurrency::run(main, clock, context);
        } catch (const concurrency::RuntimeError&) {
            is_stopped = true;
        }
        wait_for_threads(world);
        problem = fuzz.problem();
        if (fuzz.frames != 0) {
            problem += ", frames are left";
        }
        if (is_stopped) {
            problem += world.check_stopped();
        }
    }
    if (test::FuzzItem::alive() != items) {
        problem += ", items were lost, or destroyed twice";
    }
    complain(seed, "io_context, stopped", problem);
    return is_stopped;
}

}  // namespace

TEST_CASE("fuzz: random programs do at each step what a simple model says", "[fuzz]") {
    const FuzzOperations operations = without_threads();
    const Seeds seeds(300);
    Sums sums;
    seeds.each([&](unsigned seed) { run_program(seed, operations, nullptr, sums); });
    sums.check(seeds.count());
}

TEST_CASE("fuzz: random programs with threads lose nothing", "[fuzz]") {
    const FuzzOperations operations = with_threads();
    futures::ThreadPoolExecutor pool({.max_workers = 3});
    const Seeds seeds(300);
    Sums sums;
    seeds.each([&](unsigned seed) { run_program(seed, operations, &pool, sums); });
    sums.check(seeds.count());
    CHECK(sums.calls > 5 * seeds.count());
}

TEST_CASE(
    "fuzz: random programs that are stopped somewhere leave nothing behind", "[fuzz]"
) {
    const FuzzOperations operations = without_threads();
    const Seeds seeds(100);
    int stopped = 0;
    seeds.each([&](unsigned seed) {
        stopped += stop_program(seed, operations, nullptr);
    });
    CHECK(stopped >= seeds.count() / 2);
}

TEST_CASE(
    "fuzz: random programs with threads that are stopped somewhere end", "[fuzz]"
) {
    const FuzzOperations operations = with_threads();
    futures::ThreadPoolExecutor pool({.max_workers = 3});
    const Seeds seeds(100);
    int stopped = 0;
    seeds.each([&](unsigned seed) { stopped += stop_program(seed, operations, &pool); }
    );
    CHECK(stopped >= seeds.count() / 2);
}
