// SPDX-License-Identifier: BSL-1.0
// What the group mpi runs under mpirun: rank 0 measures, the others serve. It prints
// lines "<name> <seconds of one operation>", as rival.py does under mpi4py.futures.
//   mp_bench_mpi <empty|small|large|idle> [--quick]
#include "futures/mpi_pool.hpp"

#include "bench.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdio>
#include <ctime>
#include <numeric>
#include <stdexcept>
#include <string>
#include <thread>
#include <vector>

namespace {

using Bytes = std::vector<std::byte>;

int same(int x) {
    return x;
}

Bytes same_bytes(Bytes bytes) {
    return bytes;
}

void print(const std::string& name, double figure) {
    std::printf("%s %.12g\n", name.c_str(), figure);
}

void warm_up(futures::MPIPoolExecutor& pool) {
    pool.bootup();
    print("ranks", static_cast<double>(pool.num_workers() + 1));
    for (int i = 0; i != 100; ++i) {
        pool.submit(same, i).result();
    }
}

void small(bool quick) {
    futures::MPIPoolExecutor pool;
    warm_up(pool);
    const int rounds = quick ? 1 : 5;

    const int calls = quick ? 200 : 2000;
    const double latency = bench::best_seconds_of(rounds, [&] {
        for (int i = 0; i != calls; ++i) {
            bench::keep(pool.submit(same, i).result());
        }
    });
    print("latency", latency / calls);

    const int count = quick ? 5'000 : 100'000;
    const double tasks = bench::best_seconds_of(rounds, [&] {
        std::vector<futures::Future<int>> all;
        all.reserve(static_cast<std::size_t>(count));
        for (int i = 0; i != count; ++i) {
            all.push_back(pool.submit(same, i));
        }
        for (const futures::Future<int>& one : all) {
            bench::keep(one.result());
        }
    });
    print("tasks", tasks / count);

    std::vector<int> items(static_cast<std::size_t>(count) * 10);
    std::iota(items.begin(), items.end(), 0);
    const double map = bench::best_seconds_of(rounds, [&] {
        for (const int x : pool.map({.chunksize = 500}, same, items)) {
            bench::keep(x);
        }
    });
    print("map500", map / static_cast<double>(items.size()));
}

void large(bool quick) {
    futures::MPIPoolExecutor pool;
    warm_up(pool);

    struct Size {
        const char* name;
        std::size_t bytes;
        int count;
    };

    for (const Size& size :
         {Size{"1M", std::size_t{1} << 20U, 64},
          Size{"16M", std::size_t{1} << 24U, 8}}) {
        const Bytes data(size.bytes, std::byte{'x'});
        const double echo = bench::best_seconds_of(quick ? 1 : 5, [&] {
            for (int i = 0; i != size.count; ++i) {
                bench::keep(pool.submit(same_bytes, data).result().size());
            }
        });
        print(size.name, echo / size.count);
    }
}

/// What a process has used of the processors, in seconds.
double cpu_seconds(pid_t pid) {
    clockid_t clock{};
    timespec time{};
    if (::clock_getcpuclockid(pid, &clock) != 0 || ::clock_gettime(clock, &time) != 0) {
        throw std::runtime_error("no clock tells of that process");
    }
    return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_nsec) / 1e9;
}

/// The part of a processor that an executor costs which has nothing to do.
void idle(bool quick) {
    futures::MPIPoolExecutor pool;
    warm_up(pool);
    std::vector<pid_t> pids{0};  // this process
    for (const futures::MPIRankStatistics& rank : pool.statistics().ranks) {
        pids.push_back(rank.pid);
    }
    std::vector<double> used;
    for (const pid_t pid : pids) {
        used.push_back(cpu_seconds(pid));
    }
    const std::chrono::duration<double> watched(quick ? 0.5 : 3);
    std::this_thread::sleep_for(watched);
    for (std::size_t i = 0; i != pids.size(); ++i) {
        used[i] = (cpu_seconds(pids[i]) - used[i]) / watched.count();
    }
    print("idle_master", used[0]);
    print("idle_worker", *std::max_element(used.begin() + 1, used.end()));
}

int measure(int argc, char** argv) {
    const std::string what = argc > 1 ? argv[1] : "";
    const bool quick = argc > 2;
    if (what == "small") {
        small(quick);
    } else if (what == "large") {
        large(quick);
    } else if (what == "idle") {
        idle(quick);
    }
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    return futures::mpi::run(argc, argv, measure);
}
