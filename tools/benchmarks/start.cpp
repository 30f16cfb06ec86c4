// SPDX-License-Identifier: BSL-1.0
// How long a process takes from start() to the end of join(), and a pool to its first
// result.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"

#include "bench.hpp"
#include "raw.hpp"

#include <string>

namespace bench {

namespace {

constexpr double to_microseconds = 1e6;

void do_nothing() {}

int give_one() {
    return 1;
}

}  // namespace

void bench_start(Table& table, const Settings& settings) {
    const auto python = python_figures(settings, "start");
    const int rounds = settings.quick ? 5 : 60;
    const double raw_fork = seconds_of(rounds, raw_fork_and_wait) * to_microseconds;
    const double raw_spawn =
        seconds_of(
            rounds,
            [] {
                raw_spawn_and_wait({"/proc/self/exe", "--exit-at-once"});
            }
        ) *
        to_microseconds;

    struct Method {
        std::string name;
        std::string limit;
        double limit_figure;
        double target;
    };

    const Method methods[] = {
        {"fork", "raw fork", raw_fork, 4},
        {"forkserver", "raw fork", raw_fork, 30},
        {"spawn", "posix_spawn", raw_spawn, 30}};
    for (const Method& method : methods) {
        const mp::Context context = mp::get_context(method.name);
        Row row{
            "process start + join",
            method.name,
            Unit::microseconds,
            0,
            {},
            "CPython",
            method.target};
        row.ours = seconds_of(
                       rounds,
                       [&] {
                           mp::Process process = context.Process(do_nothing);
                           process.start();
                           process.join();
                       }
                   ) *
                   to_microseconds;
        row.others.emplace_back(method.limit, method.limit_figure);
        add_figure(row, "CPython", python, method.name);
        table.add(std::move(row));
    }
    for (const Method& method : methods) {
        Row row{
            "pool of 2: first result", method.name, Unit::microseconds, 0, {}, "", {}};
        row.ours = seconds_of(
                       rounds / 3 + 1,
                       [&] {
                           futures::ProcessPoolOptions options;
                           options.max_workers = 2;
                           options.mp_context = mp::get_context(method.name);
                           futures::ProcessPoolExecutor pool(options);
                           pool.submit(give_one).result();
                       }
                   ) *
                   to_microseconds;
        row.others.emplace_back(method.limit, method.limit_figure);
        add_figure(row, "CPython", python, "first_result_" + method.name);
        table.add(std::move(row));
    }
}

}  // namespace bench
