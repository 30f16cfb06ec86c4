// SPDX-License-Identifier: BSL-1.0
// What a task costs in a pool of two worker processes.
#include "futures/process_pool.hpp"

#include "bench.hpp"
#include "raw.hpp"

#include <cstddef>
#include <numeric>
#include <vector>

namespace bench {

namespace {

int same(int x) {
    return x;
}

}  // namespace

void bench_pool(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "pool");
    const int rounds = settings.quick ? 2 : 9;
    const std::string group = "process pool, 2 workers, no-op tasks";
    constexpr int batch = 1000;
    const std::size_t count = settings.quick ? 20'000 : 400'000;

    double raw_latency = 0;
    double raw_throughput = 0;
    {
        RawRing ring;
        raw_latency = seconds_of(
                          rounds,
                          [&] {
                              for (int i = 0; i != batch; ++i) {
                                  ring.round_trip();
                              }
                          }
                      ) /
                      batch * 1e6;
        raw_throughput = static_cast<double>(count) /
                         seconds_of(rounds, [&] { ring.stream(count); });
    }

    futures::ProcessPoolExecutor pool(2);
    for (int i = 0; i != 100; ++i) {
        pool.submit(same, i).result();
    }
    Row latency{
        group, "latency, one at a time", Unit::microseconds, 0, {}, "CPython", 10};
    latency.ours = seconds_of(
                       rounds,
                       [&] {
                           for (int i = 0; i != batch; ++i) {
                               keep(pool.submit(same, i).result());
                           }
                       }
                   ) /
                   batch * 1e6;
    latency.others.emplace_back("raw ring", raw_latency);
    add_figure(latency, "CPython", python, "latency");
    table.add(std::move(latency));

    Row throughput{
        group, "throughput, a future each", Unit::per_second, 0, {}, "CPython", 80};
    throughput.ours = static_cast<double>(count) / seconds_of(rounds, [&] {
                          std::vector<futures::Future<int>> all;
                          all.reserve(count);
                          for (std::size_t i = 0; i != count; ++i) {
                              all.push_back(pool.submit(same, static_cast<int>(i)));
                          }
                          for (const futures::Future<int>& one : all) {
                              keep(one.result());
                          }
                      });
    throughput.others.emplace_back("raw ring", raw_throughput);
    add_figure(throughput, "CPython", python, "throughput");
    table.add(std::move(throughput));

    std::vector<int> items(count * 10);
    std::iota(items.begin(), items.end(), 0);
    Row map{group, "map, chunksize 100", Unit::per_second, 0, {}, "CPython", 20};
    map.ours = static_cast<double>(items.size()) / seconds_of(rounds, [&] {
                   for (const int x : pool.map({.chunksize = 100}, same, items)) {
                       keep(x);
                   }
               });
    add_figure(map, "CPython", python, "map100");
    table.add(std::move(map));
}

}  // namespace bench
