// SPDX-License-Identifier: BSL-1.0
// The program's locale, with groups of digits and commas, changes no text of ours, and
// nothing that is read.
#include "futures/future.hpp"
#include "futures/process_pool.hpp"
#include "mp/cpu_count.hpp"
#include "mp/detail/shm.hpp"
#include "mp/queue.hpp"

#include "support/block_until_killed.hpp"
#include "support/catch.hpp"
#include "support/error_of.hpp"
#include "support/gone.hpp"
#include "support/pools.hpp"
#include "support/start_methods.hpp"

#include <signal.h>
#include <unistd.h>

#include <chrono>
#include <locale>
#include <sstream>
#include <string>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;
using futures::ProcessPoolExecutor;

namespace {

/// As de_DE writes numbers, which need not be installed, and worse: in pairs.
class Grouping : public std::numpunct<char> {
protected:
    char do_decimal_point() const override { return ','; }

    char do_thousands_sep() const override { return '.'; }

    std::string do_grouping() const override { return "\2"; }
};

class ForeignLocale {
public:
    ForeignLocale()
        : before_(std::locale::global(std::locale(std::locale(), new Grouping))) {}

    ForeignLocale(const ForeignLocale&) = delete;
    ForeignLocale& operator=(const ForeignLocale&) = delete;

    ~ForeignLocale() { std::locale::global(before_); }

private:
    std::locale before_;
};

std::string error_of_result(const Future<void>& future, mp::Timeout timeout) {
    try {
        future.result(timeout);
    } catch (const std::exception& error) {
        return error.what();
    }
    return {};
}

void sleep_long() {
    pause();
}

void die() {
    raise(SIGKILL);
}

/// The numbers of the processes that it starts, one the child of the other.
void start_pair_and_block(mp::Queue<int> told) {
    if (fork() == 0) {
        fork();
        told.put(static_cast<int>(getpid()));
        test::block_until_killed();
    }
    test::block_until_killed();
}

}  // namespace

TEST_CASE("locale: it is one that changes numbers", "[executor]") {
    const ForeignLocale foreign;
    std::ostringstream text;
    text << 1234567 << ' ' << 0.5;
    CHECK(text.str() == "1.23.45.67 0,5");
}

TEST_CASE("locale: texts of futures and errors", "[executor]") {
    const Future<void> future;
    std::string plain = error_of_result(future, 12ms);
    CHECK_THAT(
        plain,
        test::ContainsSubstring("0.012 s") && test::ContainsSubstring("<Future at 0x")
    );
    const ForeignLocale foreign;
    CHECK(error_of_result(future, 12ms) == plain);
}

TEST_CASE("locale: what is read of the system", "[executor]") {
    const int cpus = mp::usable_cpu_count();
    const auto memory = mp::detail::available_memory();
    const ForeignLocale foreign;
    CHECK(mp::usable_cpu_count() == cpus);
    // Others use it meanwhile; wrongly read, it is three digits, or none.
    CHECK(mp::detail::available_memory() > memory / 16);
}

TEST_CASE("locale: texts of a pool's errors, and its workers", "[executor]") {
    const auto context = each_pool_start_method();
    const ForeignLocale foreign;
    auto options = test::on(context, 1, futures::OnWorkerLoss::isolate);
    options.initializer =
        mp::call([] { std::locale::global(std::locale(std::locale(), new Grouping)); });
    ProcessPoolExecutor pool(std::move(options));
    const auto late = pool.submit({.timeout = 40ms}, sleep_long);
    CHECK_THAT(
        error_of_result(late, mp::forever), test::ContainsSubstring("limit of 0.04 s")
    );
    const pid_t worker = pool.submit(getpid).result();
    CHECK_THAT(
        error_of_result(pool.submit(die), mp::forever),
        test::ContainsSubstring("pid " + std::to_string(worker))
    );
}

TEST_CASE(
    "locale: a pool stops tasks, and ends what they have started", "[executor][no-tsan]"
) {
    const auto context = each_pool_start_method();
    const ForeignLocale foreign;
    mp::Queue<int> told;
    auto options = test::on(context, 1, futures::OnWorkerLoss::isolate);
    options.shared = {told};
    ProcessPoolExecutor pool(std::move(options));
    const auto future = pool.submit(start_pair_and_block, told);
    std::vector<pid_t> pids;
    for (int i = 0; i < 2; ++i) {
        pids.push_back(static_cast<pid_t>(told.get(20s)));
    }
    CHECK(future.cancel(futures::running));
    CHECK_THROWS_AS(future.result(60s), futures::CancelledError);
    CHECK(test::gone_within(pids, 200ms));
    CHECK(pool.submit(getpid).result(60s) > 0);
    CHECK(pool.statistics().workers_lost == 0);
}
