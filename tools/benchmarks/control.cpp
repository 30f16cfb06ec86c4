// SPDX-License-Identifier: BSL-1.0
// What control of tasks costs: a limit of time, an edge between two tasks, a call that
// a task submits to its own pool, and how soon a task is gone whose time is up, or that
// is cancelled while it runs.
#include "futures/process_pool.hpp"
#include "futures/this_pool.hpp"
#include "futures/thread_pool.hpp"
#include "futures/wait.hpp"

#include "bench.hpp"

#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <random>
#include <string>
#include <thread>
#include <utility>
#include <vector>

namespace bench {

namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;

constexpr int workers = 2;

/// pebble looks at its workers this often, its documentation says: what it stops, it
/// stops so much later at worst.
constexpr double pebbles_tick = 100'000;

int same(int x) {
    return x;
}

void nothing() {}

void go_on_for_ever() {
    for (;;) {
        ::pause();
    }
}

/// Seconds that so many calls take which a task submits and waits for, one by one.
double seconds_of_nested(int calls) {
    return seconds_of(1, [&] {
        for (int i = 0; i != calls; ++i) {
            keep(futures::this_pool().submit(same, i).result());
        }
    });
}

double microseconds_since(Clock::time_point start) {
    return std::chrono::duration<double, std::micro>(Clock::now() - start).count();
}

/// Two ways to do the same, by turns, so that what else the machine does meets both:
/// the seconds of each.
template <class Work>
std::pair<double, double> seconds_by_turns(int rounds, Work work) {
    std::vector<double> with;
    std::vector<double> without;
    for (int i = 0; i != rounds; ++i) {
        with.push_back(seconds_of(1, [&] { work(true); }));
        without.push_back(seconds_of(1, [&] { work(false); }));
    }
    return {median(std::move(with)), median(std::move(without))};
}

/// When the tasks of a graph may begin.
enum class Graph : std::uint8_t { grows_while_it_runs, is_all_there_first };

/// Seconds that so many tasks take of which each waits for `edges` earlier ones.
template <class Pool>
double seconds_of_graph(
    Graph graph, int rounds, Pool& pool, std::size_t tasks, std::size_t edges
) {
    return seconds_of(rounds, [&] {
        const futures::Future<void> begin;
        std::minstd_rand random(1);
        std::vector<futures::Future<void>> all;
        all.reserve(tasks);
        std::vector<futures::Future<void>> after;
        for (std::size_t i = 0; i != tasks; ++i) {
            after.clear();
            if (i == 0 && graph == Graph::is_all_there_first) {
                after.push_back(begin);
            }
            for (std::size_t k = 0; k != edges && i != 0; ++k) {
                after.push_back(all[random() % i]);
            }
            futures::SubmitOptions options;
            options.after = after;
            all.push_back(pool.submit(std::move(options), nothing));
        }
        begin.set_result();
        for (const auto& one : all) {
            one.result();
        }
    });
}

template <class Pool>
double nanoseconds_of_edge(Graph graph, int rounds, Pool& pool, std::size_t tasks) {
    constexpr std::size_t few = 1;
    constexpr std::size_t many = 11;
    const double more = seconds_of_graph(graph, rounds, pool, tasks, many) -
                        seconds_of_graph(graph, rounds, pool, tasks, few);
    return more / static_cast<double>(tasks * (many - few)) * 1e9;
}

/// How long after the moment at which each was to end the futures of such tasks say so.
struct Lateness {
    double middle;
    double most;
};

template <class RunOne>
Lateness lateness_of(int count, RunOne run_one) {
    std::vector<double> times;
    for (int i = 0; i != count; ++i) {
        times.push_back(run_one());
    }
    const double most = *std::max_element(times.begin(), times.end());
    return {median(std::move(times)), most};
}

void add_lateness(
    Table& table, const std::string& group, const std::string& name, Lateness late
) {
    for (const auto& [which, value] :
         {std::pair{", median", late.middle}, std::pair{", longest", late.most}}) {
        Row row{group, name + which, Unit::microseconds, value, {}, "", {}};
        row.others.emplace_back("pebble's tick", pebbles_tick);
        table.add(std::move(row));
    }
}

}  // namespace

void bench_control(Table& table, const Settings& settings) {
    const int rounds = settings.quick ? 2 : 9;
    const std::size_t count = settings.quick ? 20'000 : 200'000;
    const std::size_t tasks = settings.quick ? 5'000 : 100'000;
    const int stops = settings.quick ? 5 : 100;
    const std::string group = "control of tasks, pools of 2";
    {
        futures::ProcessPoolExecutor pool(workers);
        const futures::SubmitOptions plain;
        const futures::SubmitOptions limited{.timeout = 60s};
        constexpr int batch = 1000;
        const auto [with, without] =
            seconds_by_turns(10 * rounds, [&](bool is_limited) {
                for (int i = 0; i != batch; ++i) {
                    keep(pool.submit(is_limited ? limited : plain, same, i).result());
                }
            });
        Row latency{
            group,
            "latency, with a time limit",
            Unit::microseconds,
            with / batch * 1e6,
            {},
            "",
            {}};
        latency.others.emplace_back("without", without / batch * 1e6);
        table.add(std::move(latency));

        const auto [many, plain_ones] = seconds_by_turns(rounds, [&](bool is_limited) {
            std::vector<futures::Future<int>> all;
            all.reserve(count);
            for (std::size_t i = 0; i != count; ++i) {
                all.push_back(
                    pool.submit(is_limited ? limited : plain, same, static_cast<int>(i))
                );
            }
            for (const auto& one : all) {
                keep(one.result());
            }
        });
        const auto tasks_of = static_cast<double>(count);
        Row throughput{
            group,
            "throughput, with a time limit",
            Unit::per_second,
            tasks_of / many,
            {},
            "",
            {}};
        throughput.others.emplace_back("without", tasks_of / plain_ones);
        table.add(std::move(throughput));
    }
    {
        // Three workers: one waits, as the main thread does in the plain case.
        futures::ProcessPoolExecutor pool(workers + 1);
        constexpr int calls = 1000;
        std::vector<double> nested;
        const auto [both, plain] = seconds_by_turns(10 * rounds, [&](bool is_nested) {
            if (is_nested) {
                nested.push_back(pool.submit(seconds_of_nested, calls).result());
                return;
            }
            for (int i = 0; i != calls; ++i) {
                keep(pool.submit(same, i).result());
            }
        });
        keep(both);
        Row row{
            group,
            "a nested submit and its result",
            Unit::microseconds,
            median(std::move(nested)) / calls * 1e6,
            {},
            "",
            {}};
        row.others.emplace_back("plain", plain / calls * 1e6);
        table.add(std::move(row));
    }
    const int graphs = settings.quick ? 1 : 3;
    const auto add_edges = [&](const std::string& pools, auto& pool) {
        for (const auto& [name, graph] :
             {std::pair{"an edge, ", Graph::grows_while_it_runs},
              std::pair{"an edge, all wait, ", Graph::is_all_there_first}}) {
            const double edge = nanoseconds_of_edge(graph, graphs, pool, tasks);
            table.add({group, name + pools, Unit::nanoseconds, edge, {}, "", {}});
        }
    };
    {
        futures::ProcessPoolExecutor pool(workers);
        add_edges("processes", pool);
    }
    {
        futures::ThreadPoolExecutor pool(workers);
        add_edges("threads", pool);
    }
    futures::ProcessPoolExecutor pool(
        {.max_workers = workers, .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    pool.submit(same, 1).result();
    const auto after_limit = lateness_of(stops, [&] {
        constexpr auto limit = 20ms;
        const auto start = Clock::now();
        futures::wait({pool.submit({.timeout = limit}, go_on_for_ever)});
        const double late = microseconds_since(start + limit);
        pool.bootup();
        return late;
    });
    add_lateness(table, group, "time is up, until known", after_limit);
    const auto after_cancel = lateness_of(stops, [&] {
        const auto future = pool.submit(go_on_for_ever);
        while (!future.running()) {
            std::this_thread::yield();
        }
        const auto start = Clock::now();
        future.cancel(futures::running);
        futures::wait({future});
        const double late = microseconds_since(start);
        pool.bootup();
        return late;
    });
    add_lateness(table, group, "cancelled, until gone", after_cancel);
}

}  // namespace bench
