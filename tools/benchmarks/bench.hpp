// SPDX-License-Identifier: BSL-1.0
// The parts that every group of benchmarks uses: measuring, and the one table.
// Threads: main.
#pragma once

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <map>
#include <optional>
#include <string>
#include <vector>

namespace bench {

/// How a figure is read.
enum class Unit {
    milliseconds,  ///< of one operation: less is better
    microseconds,
    nanoseconds,
    per_second,  ///< operations: more is better
    gigabytes,   ///< per second
    bytes,       ///< of memory: less is better
    percent,     ///< of a processor: less is better
};

bool more_is_better(Unit unit);

/// One line of the table: our figure beside others for the same work in the same run.
struct Row {
    std::string group;
    std::string name;
    Unit unit;
    double ours;
    std::vector<std::pair<std::string, double>> others;
    /// The rival that the target is about, how many times better we are to be, if any.
    std::string rival;
    std::optional<double> target;
};

/// How many times better than `other` ours is, whatever the unit.
double ratio(const Row& row, double other);

class Table {
public:
    /// Prints the line at once: a run takes minutes.
    void add(Row row);

    bool write_json(const std::string& path) const;

    /// True when every row with a target reached it.
    bool all_reached() const;

private:
    std::vector<Row> rows_;
};

struct Settings {
    bool quick = false;         ///< fewer rounds: to see that it runs
    std::string python_script;  ///< the rivals in Python; empty: none
};

/// The figures that the Python script prints for `what`, by name; empty without Python.
std::map<std::string, double>
python_figures(const Settings& settings, const std::string& what);

/// Adds the figure to a row when it was measured.
void add_figure(
    Row& row,
    const std::string& name,
    const std::map<std::string, double>& figures,
    const std::string& key
);

double median(std::vector<double> values);

/// The median over `rounds` of the seconds that `work` takes, after one round
/// unmeasured.
template <class Work>
double seconds_of(int rounds, Work work) {
    using Clock = std::chrono::steady_clock;
    work();
    std::vector<double> times;
    for (int i = 0; i != rounds; ++i) {
        const Clock::time_point start = Clock::now();
        work();
        times.push_back(std::chrono::duration<double>(Clock::now() - start).count());
    }
    return median(std::move(times));
}

/// The least seconds that `work` takes in so many rounds, after one unmeasured: where
/// others' work on the machine disturbs more than one round in two.
template <class Work>
double best_seconds_of(int rounds, Work work) {
    using Clock = std::chrono::steady_clock;
    work();
    std::chrono::duration<double> best = std::chrono::hours(1);
    for (int i = 0; i != rounds; ++i) {
        const Clock::time_point start = Clock::now();
        work();
        best = std::min<std::chrono::duration<double>>(best, Clock::now() - start);
    }
    return best.count();
}

/// Keeps the optimiser from removing what computes `value`.
template <class T>
void keep(const T& value) {
    asm volatile("" : : "g"(&value) : "memory");
}

// The groups.
void bench_start(Table& table, const Settings& settings);
void bench_pool(Table& table, const Settings& settings);
void bench_control(Table& table, const Settings& settings);
void bench_connection(Table& table, const Settings& settings);
void bench_queue(Table& table, const Settings& settings);
void bench_payload(Table& table, const Settings& settings);
void bench_serialisation(Table& table, const Settings& settings);
void bench_threads(Table& table, const Settings& settings);
void bench_lock(Table& table, const Settings& settings);
void bench_signals(Table& table, const Settings& settings);
void bench_shm(Table& table, const Settings& settings);
void bench_async(Table& table, const Settings& settings);
void bench_mpi(Table& table, const Settings& settings);

}  // namespace bench
