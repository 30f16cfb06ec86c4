// SPDX-License-Identifier: BSL-1.0
// The options of a pool, all of them at once, and those of a task.
#include "futures/process_pool.hpp"
#include "futures/process_pool_options.hpp"
#include "futures/this_task.hpp"
#include "mp/units.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <unistd.h>

#include <chrono>
#include <cstdlib>
#include <stdexcept>
#include <string>

using namespace std::chrono_literals;
using futures::ProcessPoolExecutor;

namespace {

void connect_with_options() {
    setenv("OPTIONS_CONNECTED", "yes", 1);
}

void disconnect_with_options() {
    unsetenv("OPTIONS_CONNECTED");
}

std::string tell_of_options(int first, int second) {
    char folder[256] = {};
    const char* const threads = std::getenv("OMP_NUM_THREADS");
    const char* const connected = std::getenv("OPTIONS_CONNECTED");
    return futures::this_task().name() + " " + std::to_string(first + second) + " " +
           (::getcwd(folder, sizeof folder) != nullptr ? folder : "?") + " " +
           (threads != nullptr ? threads : "?") + " " +
           (connected != nullptr ? connected : "?");
}

}  // namespace

TEST_CASE("Options of a pool and of a task stand in one order, and work together") {
    ProcessPoolExecutor pool(
        {.max_workers = 2,
         .mp_context = mp::Context(mp::StartMethod::spawn),
         .initializer = mp::call(connect_with_options),
         .finalizer = mp::call(disconnect_with_options),
         .initializer_timeout = 60s,
         .finalizer_timeout = 60s,
         .max_tasks_per_child = 1000,
         .max_memory_per_child = mp::GiB,
         .idle_timeout = 60s,
         .min_workers = 1,
         .on_worker_loss = futures::OnWorkerLoss::retry,
         .max_losses = {.count = 20, .within = 10s},
         .limits = {.memory = mp::GiB},
         .task_timeout = 60s,
         .task_grace = 1s,
         .environment = {{"OMP_NUM_THREADS", "1"}},
         .working_directory = "/tmp",
         .nice = 10,
         .affinity = futures::Affinity::one_cpu_each,
         .kill_descendants = true,
         .worker_name_prefix = "all",
         .shared = {},
         .trim_threshold = mp::MiB,
         .capture_output = true,
         .capture_crashes = true}
    );
    const auto one = pool.submit(test::inc, 0);
    const auto two = pool.submit(test::inc, 1);
    const auto told = pool.submit(
        {.timeout = 60s,
         .grace = 100ms,
         .kill_after = 500ms,
         .retries = 2,
         .retry_on = futures::retry_on<std::runtime_error, futures::TimeoutError>(),
         .retry_delay = futures::backoff(100ms, 2.0, 5s),
         .priority = 5,
         .after = {one, two},
         .limits = {.memory = 512 * mp::MiB, .cpu_time = 10s},
         .name = "resize cat.png"},
        tell_of_options,
        one,
        two
    );
    CHECK(told.result() == "resize cat.png 3 /tmp 1 yes");
    pool.shutdown();
    CHECK(pool.statistics().finalizers_run == pool.statistics().workers_started);
}
