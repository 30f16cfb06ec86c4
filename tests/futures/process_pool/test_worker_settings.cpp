// SPDX-License-Identifier: BSL-1.0
// How a pool's workers run: environment, working directory, nice value, processors.
#include "futures/process_pool.hpp"
#include "mp/cpu_count.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <sys/resource.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <optional>
#include <stdlib.h>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::ProcessPoolExecutor;
using test::inc;
using test::on;

namespace {

/// What this program's own static initialisers find.
const char* const found_early = std::getenv("MP_TEST_COLOUR");
const std::string early = found_early != nullptr ? found_early : "unset";

std::string early_value() {
    return early;
}

std::string value_of(const std::string& name) {
    const char* const value = std::getenv(name.c_str());
    return value != nullptr ? value : "unset";
}

std::string kept;

void keep_value_of(const std::string& name) {
    kept = value_of(name);
}

std::string kept_value() {
    return kept;
}

std::string directory_here() {
    return std::filesystem::current_path().string();
}

int nice_here() {
    return getpriority(PRIO_PROCESS, 0);
}

std::string why_broken(ProcessPoolExecutor& pool) {
    try {
        pool.submit(inc, 1).result();
        return "it worked";
    } catch (const futures::BrokenProcessPool& error) {
        return error.what();
    }
}

/// A variable of this process, while it lives.
class Variable {
public:
    Variable(const char* name, const char* value) : name_(name) {
        ::setenv(name, value, 1);
    }

    ~Variable() { ::unsetenv(name_); }

    Variable(const Variable&) = delete;
    Variable& operator=(const Variable&) = delete;

private:
    const char* name_;
};

}  // namespace

TEST_CASE(
    "loky::process_executor::env dask::test_nanny::environment: a variable of the pool "
    "is there before the initializer, and std::nullopt takes one away",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const Variable inherited("MP_TEST_INHERITED", "yes");
    const Variable unwanted("MP_TEST_UNWANTED", "yes");
    auto options = on(context, 2);
    options.environment = {
        {"MP_TEST_COLOUR", "red"}, {"MP_TEST_UNWANTED", std::nullopt}};
    options.initializer = mp::call(keep_value_of, std::string("MP_TEST_COLOUR"));
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(kept_value).result() == "red");
    CHECK(pool.submit(value_of, "MP_TEST_COLOUR").result() == "red");
    CHECK(pool.submit(value_of, "MP_TEST_INHERITED").result() == "yes");
    CHECK(pool.submit(value_of, "MP_TEST_UNWANTED").result() == "unset");
    CHECK(value_of("MP_TEST_COLOUR") == "unset");
}

TEST_CASE("WorkerSettings: under spawn static initialisers find a variable", "[pool]") {
    auto options = on(mp::get_context(mp::StartMethod::spawn), 1);
    options.environment = {{"MP_TEST_COLOUR", "blue"}};
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(early_value).result() == "blue");
}

TEST_CASE(
    "WorkerSettings: numerical libraries are told their share of the processors, "
    "unless somebody has said it",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    const Variable said("MKL_NUM_THREADS", "77");
    auto options = on(context, 64);
    options.max_workers = 1;
    options.environment = {
        {"OPENBLAS_NUM_THREADS", "5"}, {"NUMBA_NUM_THREADS", std::nullopt}};
    ProcessPoolExecutor pool(std::move(options));
    CHECK(
        pool.submit(value_of, "OMP_NUM_THREADS").result() ==
        std::to_string(mp::usable_cpu_count())
    );
    CHECK(pool.submit(value_of, "MKL_NUM_THREADS").result() == "77");
    CHECK(pool.submit(value_of, "OPENBLAS_NUM_THREADS").result() == "5");
    CHECK(pool.submit(value_of, "NUMBA_NUM_THREADS").result() == "unset");
    CHECK(value_of("OMP_NUM_THREADS") == "unset");
}

TEST_CASE("WorkerSettings: workers run in the pool's working directory", "[pool]") {
    const auto context = each_pool_start_method();
    const test::TempDir folder;
    auto options = on(context, 1);
    options.working_directory = folder.path().string();
    ProcessPoolExecutor pool(std::move(options));
    CHECK(pool.submit(directory_here).result() == folder.path().string());
}

TEST_CASE(
    "WorkerSettings: a working directory that is not there breaks the pool, which says "
    "so",
    "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1, futures::OnWorkerLoss::isolate);
    options.working_directory = "/nonexistent/folder";
    ProcessPoolExecutor pool(std::move(options));
    std::string text;
    try {
        pool.submit(inc, 1).result();
    } catch (const std::exception& error) {  // under fork submit() itself throws
        text = error.what();
    }
    CHECK(text.find("/nonexistent/folder") != std::string::npos);
    CHECK(text.find("No such file") != std::string::npos);
}

TEST_CASE("WorkerSettings: workers have the pool's nice value", "[pool]") {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.nice = 10;
    ProcessPoolExecutor pool(std::move(options));
    const int own = nice_here();
    CHECK(pool.submit(nice_here).result() == 10);
    CHECK(nice_here() == own);
}

TEST_CASE(
    "WorkerSettings: a nice value that a worker may not have breaks the pool", "[pool]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1, futures::OnWorkerLoss::isolate);
    options.nice = -10;
    ProcessPoolExecutor pool(std::move(options));
    const std::string text = why_broken(pool);
    if (getuid() == 0 && text == "it worked") {
        return;  // root may
    }
    CHECK(text.find("nice value -10") != std::string::npos);
    CHECK(text.find("Permission denied") != std::string::npos);
}

TEST_CASE("WorkerSettings: a nice value that there is not is refused", "[pool]") {
    CHECK_THROWS_AS(ProcessPoolExecutor({.nice = 20}), std::invalid_argument);
    CHECK_THROWS_AS(ProcessPoolExecutor({.nice = -21}), std::invalid_argument);
}
