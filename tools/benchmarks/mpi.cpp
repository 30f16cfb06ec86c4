// SPDX-License-Identifier: BSL-1.0
// Executors over an MPI job beside those of mpi4py, and beside bare MPI.
#include "bench.hpp"
#include "raw.hpp"

#include <algorithm>
#include <chrono>
#include <filesystem>
#include <iostream>
#include <map>
#include <sstream>
#include <string>
#include <utility>
#include <vector>

namespace bench {

namespace {

constexpr const char* group_name = "MPI job of one machine";

// What mpirun's user would say on this machine, which is one, small and perhaps root's.
// Other MPIs do not look at it.
const std::vector<std::string> environment{
    "env",
    "OMPI_ALLOW_RUN_AS_ROOT=1",
    "OMPI_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    "OMPI_MCA_rmaps_base_oversubscribe=1",
    "OMPI_MCA_mpi_yield_when_idle=1",
    "OMPI_MCA_hwloc_base_binding_policy=none",
    "OMPI_MCA_pml=ob1",
    "OMPI_MCA_btl_vader_single_copy_mechanism=none",
    "OMPI_MCA_plm_rsh_agent=false",
    "OMPI_MCA_opal_signal=",
    "PRTE_MCA_rmaps_default_mapping_policy=:oversubscribe",
    "PRTE_ALLOW_RUN_AS_ROOT=1",
    "PRTE_ALLOW_RUN_AS_ROOT_CONFIRM=1",
    "MPIEXEC_TIMEOUT=600"};

using Figures = std::map<std::string, double>;

#ifdef MP_BENCH_MPIEXEC
constexpr bool has_mpi = true;
#else
constexpr bool has_mpi = false;
#define MP_BENCH_MPIEXEC ""
#define MP_BENCH_MPIEXEC_COUNT ""
#endif

std::string beside_us(const std::string& name) {
    return std::filesystem::read_symlink("/proc/self/exe").parent_path() / name;
}

std::string output_of_job(int ranks, const std::vector<std::string>& program) {
    std::vector<std::string> words = environment;
    words.insert(
        words.end(), {MP_BENCH_MPIEXEC, MP_BENCH_MPIEXEC_COUNT, std::to_string(ranks)}
    );
    words.insert(words.end(), program.begin(), program.end());
    return raw_output_of(words);
}

/// The best that each figure, which are times, has been in any run.
void run_job(Figures& best, int ranks, const std::vector<std::string>& program) {
    std::istringstream lines(output_of_job(ranks, program));
    std::string name;
    double value = 0;
    while (lines >> name >> value) {
        const auto [place, is_new] = best.emplace(name, value);
        place->second = std::min(place->second, value);
    }
    const auto told = best.find("ranks");
    if (best.empty() || (told != best.end() && told->second != ranks)) {
        std::cerr << "bench: no figures of " << ranks << " ranks from " << program[0]
                  << '\n';
        best.clear();
    }
}

std::vector<std::string>
our_program(const Settings& settings, const std::string& what) {
    std::vector<std::string> words{beside_us("mp_bench_mpi"), what};
    if (settings.quick) {
        words.emplace_back("--quick");
    }
    return words;
}

/// The one that has mpi4py, if any: the system's packages are those of its own Python.
std::string python_with_mpi4py() {
    for (const std::string python : {"python3", "/usr/bin/python3"}) {
        const std::string script =
            "try:\n import mpi4py.futures as m\n print(m.__name__)\n"
            "except ImportError: pass";
        if (!raw_output_of({python, "-c", script}).empty()) {
            return python;
        }
    }
    return {};
}

/// The same job by us and by mpi4py, by turns.
std::pair<Figures, Figures> both(
    const Settings& settings,
    const std::string& python,
    int ranks,
    const std::string& what
) {
    Figures ours;
    Figures theirs;
    for (int turn = 0; turn != (settings.quick ? 1 : 3); ++turn) {
        run_job(ours, ranks, our_program(settings, what));
        if (!python.empty()) {
            std::vector<std::string> rival{
                python, "-m", "mpi4py.futures", settings.python_script, "mpi_" + what};
            if (settings.quick) {
                rival.emplace_back("--quick");
            }
            run_job(theirs, ranks, rival);
        }
    }
    return {std::move(ours), std::move(theirs)};
}

double shown_in(Unit unit, double seconds) {
    return unit == Unit::per_second     ? 1 / seconds
           : unit == Unit::milliseconds ? seconds * 1e3
           : unit == Unit::microseconds ? seconds * 1e6
                                        : seconds * 100;  // percent
}

/// A row of `key`, if we have that figure.
void add(
    Table& table,
    const std::string& name,
    Unit unit,
    const std::string& key,
    const Figures& ours,
    const std::vector<std::pair<std::string, Figures>>& others,
    double target
) {
    const auto figure = ours.find(key);
    if (figure == ours.end()) {
        return;
    }
    Row row{
        group_name,
        name,
        unit,
        shown_in(unit, figure->second),
        {},
        others.front().first,
        target};
    for (const auto& [rival, figures] : others) {
        const auto other =
            figures.contains(key) ? figures.find(key) : figures.find("bare");
        if (other != figures.end()) {
            row.others.emplace_back(rival, shown_in(unit, other->second));
        }
    }
    table.add(std::move(row));
}

Figures bare(const Settings& settings, std::size_t bytes) {
    Figures figures;
    for (int turn = 0; turn != (settings.quick ? 1 : 3); ++turn) {
        run_job(figures, 2, {beside_us("mp_bench_mpi_bare"), std::to_string(bytes)});
    }
    return figures;
}

/// From mpirun to its end.
double seconds_of_job(int ranks, const std::vector<std::string>& program) {
    using Clock = std::chrono::steady_clock;
    const Clock::time_point start = Clock::now();
    output_of_job(ranks, program);
    return std::chrono::duration<double>(Clock::now() - start).count();
}

void add_start(Table& table, const Settings& settings) {
    constexpr int ranks = 4;
    Figures ours{{"start", 1e9}};
    Figures empty{{"start", 1e9}};
    for (int turn = 0; turn != (settings.quick ? 2 : 15); ++turn) {
        ours["start"] = std::min(
            ours["start"], seconds_of_job(ranks, our_program(settings, "empty"))
        );
        empty["start"] = std::min(
            empty["start"], seconds_of_job(ranks, {beside_us("mp_bench_mpi_bare")})
        );
    }
    constexpr double at_most = 1.3;  // times what an empty program takes
    add(table,
        "begin and end, 4 ranks",
        Unit::milliseconds,
        "start",
        ours,
        {{"empty MPI", empty}},
        1 / at_most);
}

}  // namespace

void bench_mpi(Table& table, const Settings& settings) {
    if (!has_mpi) {
        std::cerr << "bench: libmp::mpi was not built, so the group mpi is left out\n";
        return;
    }
    const std::string python =
        settings.python_script.empty() ? "" : python_with_mpi4py();
    if (python.empty()) {
        std::cerr << "bench: no python3 here has mpi4py\n";
    }
    const Figures small_messages = bare(settings, 64);
    for (const int ranks : {2, 4}) {
        const auto [ours, theirs] = both(settings, python, ranks, "small");
        const std::string of_ranks = ", " + std::to_string(ranks) + " ranks";
        add(table,
            "no-op tasks, a future each" + of_ranks,
            Unit::per_second,
            "tasks",
            ours,
            {{"mpi4py", theirs}},
            40);
        add(table,
            "latency, one at a time" + of_ranks,
            Unit::microseconds,
            "latency",
            ours,
            {{"mpi4py", theirs}, {"bare MPI", small_messages}},
            15);
        add(table,
            "map, chunks of 500" + of_ranks,
            Unit::per_second,
            "map500",
            ours,
            {{"mpi4py", theirs}},
            10);
    }
    const auto [ours, theirs] = both(settings, python, 2, "large");
    add(table,
        "1 MiB there and back",
        Unit::milliseconds,
        "1M",
        ours,
        {{"mpi4py", theirs}, {"bare MPI", bare(settings, std::size_t{1} << 20U)}},
        5);
    constexpr double at_most = 1.5;  // times what the bytes alone take
    add(table,
        "16 MiB there and back",
        Unit::milliseconds,
        "16M",
        ours,
        {{"bare MPI", bare(settings, std::size_t{1} << 24U)}, {"mpi4py", theirs}},
        1 / at_most);
    add_start(table, settings);

    const auto [our_idle, their_idle] = both(settings, python, 4, "idle");
    add(table,
        "an idle worker's processor",
        Unit::percent,
        "idle_worker",
        our_idle,
        {{"the limit", {{"idle_worker", 0.03}}}, {"mpi4py", their_idle}},
        1);
    add(table,
        "an idle master's processor",
        Unit::percent,
        "idle_master",
        our_idle,
        {{"the limit", {{"idle_master", 0.0005}}}, {"mpi4py", their_idle}},
        1);
}

}  // namespace bench
