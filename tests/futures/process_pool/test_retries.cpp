// SPDX-License-Identifier: BSL-1.0
// Tasks that are run again: when they throw, when their worker dies, and later.
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"
#include "mp/remote_error.hpp"

#include "support/catch.hpp"
#include "support/gate.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <signal.h>
#include <unistd.h>

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <future>
#include <stdexcept>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::backoff;
using futures::CancelledError;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::retry_on;
using futures::WorkerLost;

namespace {

/// How often a task ran: one byte in a FIFO each time.
class RunCount {
public:
    const std::string& path() const { return gate_.path(); }

    int value() {
        while (gate_.has_one()) {
            ++count_;
        }
        return count_;
    }

private:
    test::Gate gate_;
    int count_ = 0;
};

struct ShortError : std::runtime_error {
    using std::runtime_error::runtime_error;
};

const bool short_error_is_known = (mp::register_exception<ShortError>(), true);

/// What a task does in each of its runs: 't' throws ShortError, 'l' a logic_error, 'k'
/// kills its worker, 'x' exits; after the last one it returns 42.
int follow(const std::string& plan, const std::string& runs, const std::string& count) {
    test::ring(count);
    // The runs that were, by a file that grows.
    FILE* const file = std::fopen(runs.c_str(), "a+");
    std::fseek(file, 0, SEEK_END);
    const auto run = static_cast<std::size_t>(std::ftell(file));
    std::fputc('x', file);
    std::fclose(file);
    if (run >= plan.size()) {
        return 42;
    }
    switch (plan[run]) {
    case 't':
        throw ShortError("failure " + std::to_string(run + 1));
    case 'l':
        throw std::logic_error("failure " + std::to_string(run + 1));
    case 'x':
        std::_Exit(3);
    default:
        raise(SIGKILL);
    }
    return 0;
}

struct Plan {
    explicit Plan(std::string what) : text(std::move(what)) {
        char name[] = "/tmp/mp-runs-XXXXXX";
        ::close(mkstemp(name));
        file = name;
    }

    Plan(const Plan&) = delete;
    Plan& operator=(const Plan&) = delete;

    ~Plan() { ::unlink(file.c_str()); }

    Future<int>
    submit(ProcessPoolExecutor& pool, const futures::SubmitOptions& options) {
        return pool.submit(options, follow, text, file, count.path());
    }

    std::string text;
    std::string file;
    RunCount count;
};

template <class E, class T>
std::string error_of(const Future<T>& future) {
    try {
        future.result(60s);
    } catch (const E& error) {
        return error.what();
    }
    return "none";
}

std::size_t size_of_long(const std::string& text, const std::string& runs) {
    FILE* const file = std::fopen(runs.c_str(), "a+");
    std::fseek(file, 0, SEEK_END);
    const bool first = std::ftell(file) == 0;
    std::fputc('x', file);
    std::fclose(file);
    if (first) {
        throw ShortError(text);
    }
    return text.size();
}

}  // namespace

TEST_CASE(
    "dask::test_client_executor::retries ray::test_actor_retry_1::exact_count "
    "dask::test_scheduler::retries_left: a task that throws is run again as often as "
    "its budget says, and the last error is told",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
    const auto on = retry_on<ShortError>();
    for (const unsigned retries : {2U, 5U}) {
        Plan plan("tt");
        CHECK(
            plan.submit(pool, {.retries = retries, .retry_on = on}).result(60s) == 42
        );
        CHECK(plan.count.value() == 3);
    }
    for (const unsigned retries : {0U, 1U}) {
        Plan plan("tt");
        const auto future = plan.submit(pool, {.retries = retries, .retry_on = on});
        CHECK(error_of<ShortError>(future) == "failure " + std::to_string(retries + 1));
        CHECK(plan.count.value() == static_cast<int>(retries) + 1);
    }
    Plan six("tttttt");
    CHECK(
        error_of<ShortError>(six.submit(pool, {.retries = 5, .retry_on = on})) ==
        "failure 6"
    );
    CHECK(six.count.value() == 6);
}

TEST_CASE(
    "ray::test_actor_retry_1::no_retry_without_marking "
    "ray::test_failure_4::retry_application_error: only what retry_on names is "
    "retried, "
    "derived types too",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    Plan unmarked("t");
    CHECK(error_of<ShortError>(unmarked.submit(pool, {.retries = 5})) == "failure 1");
    CHECK(unmarked.count.value() == 1);
    Plan other("l");
    const auto on_short = retry_on<ShortError>();
    CHECK(
        error_of<std::logic_error>(
            other.submit(pool, {.retries = 5, .retry_on = on_short})
        ) == "failure 1"
    );
    CHECK(other.count.value() == 1);
    Plan base("tl");
    const auto on_all = retry_on<std::runtime_error, std::logic_error>();
    CHECK(base.submit(pool, {.retries = 5, .retry_on = on_all}).result(60s) == 42);
    CHECK(base.count.value() == 3);
    Plan without_budget("t");
    CHECK(
        error_of<ShortError>(without_budget.submit(pool, {.retry_on = on_all})) ==
        "failure 1"
    );
}

TEST_CASE(
    "ray::test_actor_retry_2::mixed_exit_and_raise: losses and exceptions draw from "
    "one "
    "budget",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(test::on(context, 2, OnWorkerLoss::isolate));
    const futures::SubmitOptions twice{
        .retries = 2, .retry_on = retry_on<ShortError>()};
    for (const char* const text : {"tt", "tx", "xt", "kk"}) {
        Plan plan(text);
        CAPTURE(text);
        CHECK(plan.submit(pool, twice).result(60s) == 42);
        CHECK(plan.count.value() == 3);
    }
    Plan thrown("xtt");
    CHECK(error_of<ShortError>(thrown.submit(pool, twice)) == "failure 3");
    CHECK(thrown.count.value() == 3);
    Plan lost("txx");
    try {
        lost.submit(pool, twice).result(60s);
        FAIL("it was not lost");
    } catch (const WorkerLost& error) {
        CHECK(error.attempts() == 3);
        CHECK_FALSE(error.is_poison());
    }
}

TEST_CASE(
    "ray::test_failure_4::retry_system_error dask::test_scheduler::suspicious_count: a "
    "task whose workers all die is poison, and the pool goes on",
    "[pool]"
) {
    ProcessPoolExecutor pool(
        test::on(each_pool_start_method(), 1, OnWorkerLoss::isolate)
    );
    Plan once("x");
    CHECK(once.submit(pool, {.retries = 1}).result(60s) == 42);
    Plan never("x");
    CHECK_THROWS_AS(never.submit(pool, {}).result(60s), WorkerLost);
    Plan poison("kkkk");
    try {
        poison.submit(pool, {.retries = 2}).result(60s);
        FAIL("it was not lost");
    } catch (const WorkerLost& error) {
        CHECK(error.attempts() == 3);
        CHECK(error.is_poison());
        CHECK_THAT(error.what(), test::ContainsSubstring("2 earlier attempts"));
    }
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
}

TEST_CASE(
    "Retries: under break_pool exceptions are retried, losses are not", "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const futures::SubmitOptions options{
        .retries = 3, .retry_on = retry_on<std::exception>()};
    Plan thrown("tlt");
    CHECK(thrown.submit(pool, options).result(60s) == 42);
    Plan lost("tk");
    CHECK_THROWS_AS(lost.submit(pool, options).result(60s), futures::BrokenProcessPool);
    CHECK_THROWS_AS(pool.submit(test::inc, 1), futures::BrokenProcessPool);
}

TEST_CASE("Retries: nobody sees the future done before the budget is spent", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    Plan plan("ttt");
    auto future = plan.submit(
        pool, {.retries = 3, .retry_on = retry_on<ShortError>(), .retry_delay = 1ms}
    );
    std::promise<int> told;
    std::atomic<int> calls{0};
    future.add_done_callback([&](const Future<int>& done) {
        ++calls;
        told.set_value(done.result());
    });
    CHECK(futures::wait(std::vector{future}, 60s).done.size() == 1);
    CHECK(told.get_future().get() == 42);
    CHECK(calls == 1);
    CHECK(plan.count.value() == 4);
}

TEST_CASE("Retries: long arguments are kept for the next run", "[pool]") {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 1));
    const std::string text(3'000'000, 'x');
    const futures::SubmitOptions options{
        .retries = 1, .retry_on = retry_on<ShortError>()};
    for (int i = 0; i < 3; ++i) {
        const Plan plan("");
        CHECK(
            pool.submit(options, size_of_long, text, plan.file).result(60s) ==
            text.size()
        );
    }
}

TEST_CASE("Retry delay: a cancel meanwhile wins at once, and it never runs", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1, OnWorkerLoss::isolate));
    for (const char* const text : {"t", "k"}) {
        Plan plan(text);
        auto future = plan.submit(
            pool, {.retries = 1, .retry_on = retry_on<ShortError>(), .retry_delay = 1h}
        );
        while (!future.cancel()) {
            std::this_thread::yield();  // it still runs, or is being looked at
        }
        CHECK_THROWS_AS(future.result(60s), CancelledError);
        CHECK(plan.count.value() <= 1);
    }
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
}

TEST_CASE(
    "Retry delay: other tasks run meanwhile, and the delayed one last", "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    Plan plan("t");
    const auto begin = std::chrono::steady_clock::now();
    auto future = plan.submit(
        pool, {.retries = 1, .retry_on = retry_on<ShortError>(), .retry_delay = 300ms}
    );
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);
    CHECK(future.result(60s) == 42);
    CHECK(std::chrono::steady_clock::now() - begin >= 300ms);
}

TEST_CASE("Retry delay: shutdown waits for it, or cancels it", "[pool]") {
    const bool cancels = GENERATE(false, true);
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    Plan plan("t");
    auto future = plan.submit(
        pool,
        {.retries = 1,
         .retry_on = retry_on<ShortError>(),
         .retry_delay = cancels ? std::chrono::milliseconds(1h) : 50ms}
    );
    while (future.running() || plan.count.value() == 0) {
        std::this_thread::yield();
    }
    pool.shutdown({.cancel_futures = cancels});
    REQUIRE(future.done());
    if (cancels) {
        CHECK((future.cancelled() || future.exception() != nullptr));
    } else {
        CHECK(future.result() == 42);
    }
}

TEST_CASE("Retry delay: a pool that breaks fails what waits", "[pool]") {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    Plan plan("t");
    auto future = plan.submit(
        pool, {.retries = 1, .retry_on = retry_on<ShortError>(), .retry_delay = 1h}
    );
    while (plan.count.value() == 0 || future.running()) {
        std::this_thread::yield();
    }
    pool.kill_workers();
    CHECK(future.exception(60s) != nullptr);
}

TEST_CASE(
    "ray::test_failure_3::completed_not_rerun: only what was unfinished runs again",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2, OnWorkerLoss::retry));
    Plan finished("");
    CHECK(finished.submit(pool, {.retries = 5}).result(60s) == 42);
    Plan dies("kk");
    CHECK(dies.submit(pool, {}).result(60s) == 42);
    CHECK(finished.count.value() == 1);
    CHECK(dies.count.value() == 3);
}

TEST_CASE(
    "ray::test_actor_retry_1::call_options_win: what is said of a task wins over what "
    "is "
    "said of the pool",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 2, OnWorkerLoss::retry));
    Plan ten("kkkkkkkkkk");
    CHECK(ten.submit(pool, {.retries = 10}).result(60s) == 42);
    CHECK(ten.count.value() == 11);
    Plan usual("kkk");
    CHECK_THROWS_AS(usual.submit(pool, {}).result(60s), WorkerLost);
    CHECK(usual.count.value() == 3);
}

TEST_CASE(
    "dask::test_reschedule::raise_reschedule: a task that throws what retry_on names "
    "goes back into the queue, and ends there if it is cancelled",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(quick_pool_context(), 1));
    const futures::SubmitOptions again{
        .retries = 1, .retry_on = retry_on<ShortError>(), .retry_delay = 50ms};
    Plan first("t");
    Plan second("t");
    auto one = first.submit(pool, again);
    auto two = second.submit(pool, again);
    CHECK(pool.submit(test::inc, 1).result(60s) == 2);  // both slots are free
    while (!one.cancel() && !one.done()) {
        std::this_thread::yield();
    }
    CHECK(two.result(60s) == 42);
    CHECK(one.done());
}

namespace {

/// Fails as often as the file of its number tells, which counts.
int fails_before(const std::string& folder, int item, int failures) {
    const std::string path = folder + "/" + std::to_string(item);
    FILE* const file = std::fopen(path.c_str(), "a+");
    std::fseek(file, 0, SEEK_END);
    const auto runs = std::ftell(file);
    std::fputc('x', file);
    std::fclose(file);
    if (runs < failures) {
        throw ShortError("failure " + std::to_string(runs + 1));
    }
    return item;
}

}  // namespace

TEST_CASE(
    "dask::test_client::map_retries: each item of a map has its own retries, also in a "
    "chunk",
    "[pool]"
) {
    ProcessPoolExecutor pool(test::on(each_pool_start_method(), 2));
    const std::vector<int> failures{1, 0, 2};
    for (const int chunksize : {1, 3}) {
        for (const unsigned retries : {0U, 1U, 2U}) {
            const test::TempDir folder;
            auto results = pool.map(
                {.chunksize = chunksize,
                 .retries = retries,
                 .retry_on = retry_on<ShortError>()},
                fails_before,
                std::vector<std::string>(3, folder.path().string()),
                std::vector<int>{0, 1, 2},
                failures
            );
            auto at = results.begin();
            for (int item = 0; item < 3; ++item, ++at) {
                CAPTURE(chunksize, retries, item);
                if (static_cast<unsigned>(failures[static_cast<std::size_t>(item)]) <=
                    retries) {
                    CHECK(*at == item);
                } else {
                    CHECK_THROWS_WITH(*at, "failure " + std::to_string(retries + 1));
                }
            }
        }
    }
}
