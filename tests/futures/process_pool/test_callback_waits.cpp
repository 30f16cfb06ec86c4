// SPDX-License-Identifier: BSL-1.0
// A callback of a process pool waits for other futures of that pool, in every way there
// is: its thread is the manager, without which they would not end.
#include "futures/as_completed.hpp"
#include "futures/process_pool.hpp"
#include "futures/wait.hpp"
#include "futures/when.hpp"

#include "support/catch.hpp"
#include "support/start_methods.hpp"

#include <atomic>
#include <chrono>
#include <functional>
#include <future>
#include <thread>
#include <vector>

using namespace std::chrono_literals;
using futures::Future;

namespace {

int work(int x) {
    // A task that takes its time.
    std::this_thread::sleep_for(1ms);
    return x;
}

using Waits =
    std::function<bool(futures::ProcessPoolExecutor&, Future<int>, Future<int>)>;

/// Whether, in a callback of each of six futures, `waits` ends as it should.
bool all_six(const mp::Context& context, int workers, const Waits& waits) {
    futures::ProcessPoolExecutor pool({.max_workers = workers, .mp_context = context});
    std::atomic<int> right{0};
    std::vector<std::promise<void>> ended(6);
    for (std::promise<void>& end : ended) {
        pool.submit(work, 1).add_done_callback([&](const Future<int>&) {
            right += waits(pool, pool.submit(work, 2), pool.submit(work, 3)) ? 1 : 0;
            end.set_value();
        });
    }
    for (std::promise<void>& end : ended) {
        if (end.get_future().wait_for(60s) != std::future_status::ready) {
            return false;
        }
    }
    return right == 6;
}

}  // namespace

TEST_CASE(
    "ProcessPool: a callback may wait for futures of its pool in any way",
    "[process_pool]"
) {
    const mp::Context context = each_pool_start_method();
    for (const int workers : {1, 2}) {
        INFO(workers << " workers");
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return f.result(30s) + g.result(30s) == 5;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return !f.exception(30s) && !g.exception(30s);
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return futures::wait({f, g}, 30s).done.size() == 2;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return !futures::wait({f, g}, 30s, futures::FIRST_COMPLETED).done.empty();
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return futures::wait({f, g}, 30s, futures::FIRST_EXCEPTION).done.size() ==
                   2;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            int sum = 0;
            for (auto& done : futures::as_completed({f, g}, 30s)) {
                sum += done.result();
            }
            return sum == 5;
        }));
        CHECK(all_six(context, workers, [](auto& pool, auto, auto) {
            int sum = 0;
            for (const int x : pool.map({.timeout = 30s}, work, std::vector{1, 2, 3})) {
                sum += x;
            }
            return sum == 6;
        }));
    }
}

TEST_CASE(
    "ProcessPool: a callback may wait for what is made of futures of its pool",
    "[process_pool]"
) {
    const mp::Context context = each_pool_start_method();
    const auto add_ten = [](int x) {
        return x + 10;
    };
    for (const int workers : {1, 2}) {
        INFO(workers << " workers");
        CHECK(all_six(context, workers, [&](auto&, auto f, auto g) {
            return f.then(add_ten).result() + g.result() == 15;
        }));
        CHECK(all_six(context, workers, [&](auto&, auto f, auto g) {
            return f.then(add_ten).then(add_ten).result(30s) + g.result() == 25;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            const auto [x, y] = futures::when_all(f, g).result();
            return x + y == 5;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto g) {
            return futures::when_any(std::vector{f, g}).result().futures.size() == 2;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto) {
            const Future<int> plain;
            f.add_done_callback([plain](const Future<int>& done) {
                plain.set_result(done.result());
            });
            return plain.result() == 2;
        }));
        CHECK(all_six(context, workers, [](auto&, auto f, auto) {
            const Future<int> plain;
            f.add_done_callback([plain](const Future<int>&) { plain.cancel(); });
            try {
                plain.result();
                return false;
            } catch (const futures::CancelledError&) {
                return true;
            }
        }));
    }
}

TEST_CASE(
    "ProcessPool: a callback may wait for a task of another pool that needs its own",
    "[process_pool]"
) {
    const mp::Context context = each_pool_start_method();
    futures::ProcessPoolExecutor other({.max_workers = 1, .mp_context = context});
    CHECK(all_six(context, 1, [&](auto&, auto f, auto) {
        return other.submit(work, f).result() == 2;
    }));
    CHECK(all_six(context, 1, [&](auto&, auto f, auto) {
        return futures::wait({other.submit(work, f)}).done.size() == 1;
    }));
}

TEST_CASE("ProcessPool: a callback may wait until an executor knows of a cancel()") {
    futures::ProcessPoolExecutor pool(1);
    const Future<int> plain;
    std::promise<std::size_t> done;
    pool.submit(work, 1).add_done_callback([&](const Future<int>&) {
        plain.cancel();
        const auto knows = pool.submit(work, 2);
        knows.add_done_callback([&](const Future<int>&) {
            plain.set_running_or_notify_cancel();
        });
        done.set_value(futures::wait({plain}).done.size());
    });
    CHECK(done.get_future().get() == 1);
}

TEST_CASE("ProcessPool: a wait in a callback ends at its timeout", "[process_pool]") {
    futures::ProcessPoolExecutor pool(1);
    std::promise<std::size_t> left;
    pool.submit(work, 1).add_done_callback([&](const Future<int>&) {
        const Future<int> never;
        left.set_value(
            futures::wait({never}, 10ms, futures::FIRST_COMPLETED).not_done.size()
        );
    });
    CHECK(left.get_future().get() == 1);
    CHECK(pool.submit(work, 4).result(30s) == 4);
}
