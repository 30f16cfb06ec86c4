// SPDX-License-Identifier: BSL-1.0
// Limits of a pool's tasks: memory, processor time, files, processes; and of what a
// worker may grow to.
#include "futures/limits.hpp"
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"
#include "support/temp_dir.hpp"

#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <fstream>
#include <new>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::OnWorkerLoss;
using futures::ProcessPoolExecutor;
using futures::ProcessPoolOptions;
using test::inc;
using test::on;

namespace {

std::size_t allocate(std::size_t size) {
    std::vector<char> room(size, 'x');
    return room.size() + static_cast<std::size_t>(room[size / 2] - 'x');
}

int burn() {
    volatile int x = 0;
    for (;;) {
        x = x + 1;
    }
}

int write_file(const std::string& path, std::size_t size) {
    const int fd = ::open(path.c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    const std::vector<char> bytes(size, 'x');
    std::size_t written = 0;
    while (written < size) {
        const auto got = ::write(fd, bytes.data() + written, size - written);
        if (got < 0) {
            const int error = errno;
            ::close(fd);
            return error;
        }
        written += static_cast<std::size_t>(got);
    }
    ::close(fd);
    return 0;
}

int write_file_ignoring(const std::string& path, std::size_t size) {
    ::signal(SIGXFSZ, SIG_IGN);
    const int error = write_file(path, size);
    ::signal(SIGXFSZ, SIG_DFL);
    return error;
}

int open_many(int count) {
    std::vector<int> fds;
    int error = 0;
    for (int i = 0; i < count && error == 0; ++i) {
        fds.push_back(::open("/dev/null", O_RDONLY | O_CLOEXEC));
        error = fds.back() < 0 ? errno : 0;
    }
    for (const int fd : fds) {
        if (fd >= 0) {
            ::close(fd);
        }
    }
    return error;
}

std::vector<std::uint64_t> soft_limits() {
    std::vector<std::uint64_t> limits;
    for (const auto resource :
         {RLIMIT_DATA, RLIMIT_NOFILE, RLIMIT_FSIZE, RLIMIT_NPROC, RLIMIT_CPU}) {
        rlimit limit{};
        getrlimit(resource, &limit);
        limits.push_back(limit.rlim_cur);
    }
    return limits;
}

pid_t leak(std::size_t size) {
    auto* const room = new char[size];
    std::memset(room, 1, size);
    // Kept from the optimiser, and from a sanitizer's report.
    static std::vector<char*>* const kept = new std::vector<char*>;
    kept->push_back(room);
    return getpid();
}

std::string refused(const std::function<void()>& call) {
    try {
        call();
        return "it worked";
    } catch (const mp::ResourceLimitExceeded& error) {
        return error.what();
    }
}

/// With a worker forked from a worker that has a timer.
std::string burn_in_inner_pool() {
    ProcessPoolExecutor pool(on(quick_pool_context(), 1));
    auto burning = pool.submit({.limits = {.cpu_time = 50ms}}, burn);
    return refused([&] { burning.result(); });
}

bool says(const std::string& text, const std::string& part) {
    const bool found = text.find(part) != std::string::npos;
    if (!found) {
        UNSCOPED_INFO(text);
    }
    return found;
}

}  // namespace

TEST_CASE(
    "pebble::concurrent_process::limits_rlimit_recipe: a task that wants more memory "
    "than its "
    "limit raises ResourceLimitExceeded, and its worker goes on",
    "[pool][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.limits.memory = 64 * mp::MiB;
    ProcessPoolExecutor pool(std::move(options));
    const pid_t worker = pool.submit(getpid).result();
    auto future = pool.submit(allocate, 1000 * mp::MiB);
    CHECK(says(refused([&] { future.result(); }), "limit of memory, 64 MiB"));
    try {
        future.result();
    } catch (const futures::ResourceLimitExceeded& error) {
        CHECK_THROWS_WITH(
            std::rethrow_if_nested(error), test::ContainsSubstring("std::bad_alloc")
        );
    }
    CHECK(pool.submit(allocate, 16 * mp::MiB).result() == 16 * mp::MiB);
    // A task's own limit takes the place of the pool's.
    CHECK(
        pool.submit({.limits = {.memory = 256 * mp::MiB}}, allocate, 128 * mp::MiB)
            .result() == 128 * mp::MiB
    );
    auto tiny = pool.submit({.limits = {.memory = 1 * mp::KiB}}, allocate, mp::MiB);
    CHECK(says(refused([&] { tiny.result(); }), "limit of memory, 1 KiB"));
    CHECK(pool.submit(getpid).result() == worker);
}

TEST_CASE(
    "ray::test_memory_pressure::oom_error_type: the items of a map are told of the "
    "limit "
    "one by one",
    "[pool][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.limits.memory = 64 * mp::MiB;
    ProcessPoolExecutor pool(std::move(options));
    const std::vector<std::size_t> sizes{mp::MiB, 1000 * mp::MiB, 2 * mp::MiB};
    auto results = pool.map({.chunksize = 3}, allocate, sizes);
    auto at = results.begin();
    CHECK(*at == mp::MiB);
    ++at;
    CHECK(says(refused([&] { static_cast<void>(*at); }), "limit of memory"));
}

TEST_CASE(
    "Limits: a task that uses too much processor time is ended, and no other", "[pool]"
) {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(pool.submit(inc, 1).result() == 2);
    auto burning = pool.submit({.limits = {.cpu_time = 50ms}}, burn);
    auto next = pool.submit(inc, 2);
    const auto text = refused([&] { burning.result(); });
    CHECK(says(text, "processor time, 0.05 s"));
    CHECK(says(text, "burn"));
    CHECK(next.result() == 3);
    CHECK(pool.statistics().workers_lost == 0);
}

TEST_CASE("Limits: processor time counts anew for each task", "[pool]") {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.limits.cpu_time = 20s;
    ProcessPoolExecutor pool(std::move(options));
    const pid_t worker = pool.submit(getpid).result();
    for (int i = 0; i < 20; ++i) {
        CHECK(pool.submit(inc, i).result() == i + 1);
    }
    auto again = pool.submit({.retries = 1, .limits = {.cpu_time = 20ms}}, burn);
    CHECK(says(refused([&] { again.result(); }), "processor time"));
    CHECK(pool.submit(getpid).result() != worker);
    CHECK(pool.statistics().workers_started >= 2);
}

TEST_CASE("Limits: a file that becomes too long ends its task alone", "[pool]") {
    const auto context = each_pool_start_method();
    const test::TempDir folder;
    const std::string path = (folder.path() / "file").string();
    ProcessPoolExecutor pool(on(context, 1));
    const futures::SubmitOptions limited{.limits = {.file_size = 4 * mp::KiB}};
    CHECK(pool.submit(limited, write_file, path, 4 * mp::KiB).result() == 0);
    auto long_file = pool.submit(limited, write_file, path, 8 * mp::KiB);
    auto next = pool.submit(inc, 2);
    CHECK(says(refused([&] { long_file.result(); }), "size of a file, 4 KiB"));
    CHECK(next.result() == 3);
    CHECK(
        pool.submit(limited, write_file_ignoring, path, 8 * mp::KiB).result() == EFBIG
    );
    CHECK(pool.submit(write_file, path, 8 * mp::KiB).result() == 0);
}

TEST_CASE("Limits: too many descriptors are the task's own error", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    CHECK(
        pool.submit({.limits = {.open_files = 32}}, open_many, 40).result() == EMFILE
    );
    CHECK(pool.submit(open_many, 40).result() == 0);
}

TEST_CASE(
    "Limits: memory beside what the worker has is counted under any limit of "
    "descriptors",
    "[pool][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const bool of_pool = GENERATE(false, true);
    auto options = on(context, 1);
    if (of_pool) {
        options.limits.open_files = 1;
    }
    ProcessPoolExecutor pool(std::move(options));
    const futures::SubmitOptions limited{
        .limits = {.memory = 2 * mp::MiB, .open_files = 1}};
    CHECK(pool.submit(limited, allocate, mp::MiB).result() == mp::MiB);
    auto large = pool.submit(limited, allocate, 4 * mp::MiB);
    CHECK(says(refused([&] { large.result(); }), "limit of memory, 2 MiB"));
}

TEST_CASE("Limits: a task that waits for a future has them, too", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const futures::SubmitOptions limited{.limits = {.open_files = 32}};
    auto count = pool.submit(inc, 39);
    CHECK(pool.submit(limited, open_many, count).result() == EMFILE);
    CHECK(
        pool.submit({.after = {count}, .limits = {.open_files = 32}}, open_many, 40)
            .result() == EMFILE
    );
    CHECK(pool.submit(open_many, count).result() == 0);
    CHECK_THROWS_AS(
        pool.submit({.limits = {.memory = 0}}, inc, count), std::invalid_argument
    );
}

TEST_CASE("Limits: a pool in a task of a pool has limits of its own", "[pool]") {
    ProcessPoolExecutor pool(on(each_pool_start_method(), 1));
    auto told = pool.submit({.limits = {.cpu_time = 20s}}, burn_in_inner_pool);
    CHECK(says(told.result(), "processor time, 0.05 s"));
}

TEST_CASE("Limits: behind a task its worker has the limits of before", "[pool]") {
    const auto context = each_pool_start_method();
    ProcessPoolExecutor pool(on(context, 1));
    const auto before = pool.submit(soft_limits).result();
    const auto within = pool.submit(
                                {.limits =
                                     {.memory = mp::GiB,
                                      .cpu_time = 10s,
                                      .open_files = 99,
                                      .file_size = mp::MiB,
                                      .processes = 5000}},
                                soft_limits
    )
                            .result();
    CHECK(within != before);
    CHECK(within[1] == 99);
    CHECK(within[2] == mp::MiB);
    CHECK(pool.submit(soft_limits).result() == before);
}

TEST_CASE("Limits: what leaves nothing is refused", "[pool]") {
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.limits = {.memory = 0}}), std::invalid_argument
    );
    CHECK_THROWS_AS(
        ProcessPoolExecutor({.max_memory_per_child = 0}), std::invalid_argument
    );
    ProcessPoolExecutor pool(1);
    CHECK_THROWS_AS(
        pool.submit({.limits = {.cpu_time = 0s}}, inc, 1), std::invalid_argument
    );
    futures::ThreadPoolExecutor threads(1);
    CHECK_THROWS_AS(
        threads.submit({.limits = {.memory = mp::MiB}}, inc, 1), std::invalid_argument
    );
}

TEST_CASE(
    "loky::process_executor::memory_leak_protection: a worker that has grown too large "
    "ends in order and is replaced",
    "[pool][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.max_memory_per_child = 256 * mp::MiB;
    ProcessPoolExecutor pool(std::move(options));
    std::vector<futures::Future<pid_t>> all;
    for (int i = 0; i < 60; ++i) {
        all.push_back(pool.submit(leak, 16 * mp::MiB));
    }
    const pid_t first = all.front().result();
    const pid_t last = all.back().result();
    for (auto& future : all) {
        CHECK(future.result() > 0);
    }
    CHECK(first != last);
    CHECK(pool.statistics().workers_lost == 0);
    CHECK(pool.statistics().workers_retired >= 2);
}

TEST_CASE(
    "billiard::pool_source::max_memory: the result of the task behind which a worker "
    "ends "
    "is delivered",
    "[pool][no-asan][no-tsan]"
) {
    const auto context = each_pool_start_method();
    auto options = on(context, 1);
    options.max_memory_per_child = 1;
    ProcessPoolExecutor pool(std::move(options));
    const pid_t first = pool.submit(getpid).result();
    CHECK(pool.submit(getpid).result() != first);
    CHECK(pool.submit(inc, 1).result() == 2);
    CHECK(pool.statistics().workers_lost == 0);
}
