// SPDX-License-Identifier: BSL-1.0
// What a task knows and is called, and what each worker keeps: behaviours of other
// pools, by their ids.
#include "futures/process_pool.hpp"
#include "futures/this_task.hpp"
#include "futures/wait.hpp"
#include "mp/worker_local.hpp"

#include "ported/pool_tasks.hpp"
#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>

#include <chrono>
#include <cstddef>
#include <numeric>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::WorkerLost;
using test::inc;
using test::on;

namespace {

std::string name_by_helper() {
    return futures::this_task().name();
}

std::string tell_name() {
    return name_by_helper();
}

std::string tell_both(const std::string& name) {
    return name_by_helper() + ", " + name;
}

void die_named(const std::string& /*name*/) {
    raise(SIGKILL);
}

/// What the initializer leaves to each task of its worker.
struct Library {
    std::vector<std::string> words;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        if constexpr (Archive::is_saving::value) {
            ++written;
        }
        archive& words;
    }

    static inline int written = 0;
};

void keep_library(const Library& library) {
    mp::worker_local<Library>().words = library.words;
}

bool finds_library(const std::vector<std::string>& words) {
    return mp::worker_local<Library>().words == words;
}

struct Kept {
    std::vector<std::string> all;
};

/// Keeps its argument; are those of before as they were?
bool keep_text(std::size_t number, std::string text) {
    auto& kept = mp::worker_local<Kept>().all;
    kept.push_back(std::move(text));
    for (std::size_t i = 0; i < kept.size(); ++i) {
        if (kept[i] != std::string(100'000 + i, static_cast<char>('a' + i % 26))) {
            return false;
        }
    }
    return kept.size() == number + 1;
}

}  // namespace

TEST_CASE(
    "pebble::concurrent_process::name_keyword: a task is called what its options say, "
    "whatever its parameters are called"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1, OnWorkerLoss::isolate));
    const std::string argument = "argument";
    CHECK(
        pool.submit({.name = "resize cat.png"}, tell_both, argument).result(60s) ==
        "resize cat.png, argument"
    );
    try {
        pool.submit({.name = "resize cat.png"}, die_named, argument).result(60s);
        FAIL("no WorkerLost");
    } catch (const WorkerLost& lost) {
        CHECK(lost.report().task == "resize cat.png");
        CHECK_THAT(lost.what(), test::ContainsSubstring("resize cat.png"));
    }
}

TEST_CASE(
    "dask::test_worker::current_task: a task knows its name, also in what it calls"
) {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 2));
    CHECK(pool.submit({.name = "first"}, tell_name).result(60s) == "first");
    CHECK_THAT(
        pool.submit(tell_name).result(60s), test::ContainsSubstring("tell_name")
    );
    const auto argument = pool.submit(tell_name).then([](const std::string&) {
        return std::string("x");
    });
    CHECK(
        pool.submit({.name = "second"}, tell_both, argument).result(60s) == "second, x"
    );
}

TEST_CASE(
    "mpire::pool::shared_objects: what the initializer was given each task finds, and "
    "it travels once a worker"
) {
    const auto context = each_pool_start_method();
    for (const int workers : {1, 3}) {
        const Library library{std::vector<std::string>(100, "word")};
        Library::written = 0;
        auto options = on(context, workers);
        options.initializer = mp::call(keep_library, library);
        ProcessPoolExecutor pool(options);
        const std::vector<std::vector<std::string>> inputs(20, library.words);
        for (const bool found : pool.map(finds_library, inputs)) {
            CHECK(found);
        }
        CHECK(Library::written <= workers);
    }
}

TEST_CASE(
    "dask::test_client::scatter_lost_copy: a worker that replaces another has it, too"
) {
    const Library library{std::vector<std::string>(100, "word")};
    auto options = on(each_pool_start_method(), 1, OnWorkerLoss::isolate);
    options.initializer = mp::call(keep_library, library);
    ProcessPoolExecutor pool(options);
    for (int round = 0; round < 3; ++round) {
        CHECK(pool.submit(finds_library, library.words).result(60s));
        const auto lost = pool.submit(die_named, "");
        const auto queued = pool.submit(finds_library, library.words);
        CHECK_THROWS_AS(lost.result(60s), WorkerLost);
        CHECK(queued.result(60s));
    }
}

TEST_CASE("ray::test_basic_2::argument_buffers_stay_valid: what a worker keeps of its "
          "arguments stays as it came") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    for (std::size_t i = 0; i < 100; ++i) {
        const std::string text(100'000 + i, static_cast<char>('a' + i % 26));
        REQUIRE(pool.submit(keep_text, i, text).result(60s));
    }
}
