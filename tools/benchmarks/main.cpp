// SPDX-License-Identifier: BSL-1.0
// bench: our figures beside the rivals' and the raw limits', all taken in one run,
// because only the ratios of one run mean something.
#include "mp/mp.hpp"

#include "bench.hpp"
#include "raw.hpp"

#include <CLI/CLI.hpp>

#include <unistd.h>

#include <algorithm>
#include <exception>
#include <iostream>
#include <string>
#include <utility>
#include <vector>

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    if (argc == 2 && std::string(argv[1]) == "--exit-at-once") {
        ::_exit(0);  // what posix_spawn of this program is measured with
    }
    using Group = void (*)(bench::Table&, const bench::Settings&);
    const std::vector<std::pair<std::string, Group>> groups{
        {"start", bench::bench_start},
        {"pool", bench::bench_pool},
        {"control", bench::bench_control},
        {"payload", bench::bench_payload},
        {"connection", bench::bench_connection},
        {"queue", bench::bench_queue},
        {"serialisation", bench::bench_serialisation},
        {"threads", bench::bench_threads},
        {"lock", bench::bench_lock},
        {"signals", bench::bench_signals},
        {"shm", bench::bench_shm},
        {"async", bench::bench_async},
        {"mpi", bench::bench_mpi}};
    std::vector<std::string> names;
    for (const auto& [name, run] : groups) {
        names.push_back(name);
    }

    CLI::App app("Benchmarks of libmp and libfutures against their rivals.");
    bench::Settings settings;
    std::vector<std::string> chosen;
    std::string json;
    bool strict = false;
    app.add_option(
           "GROUP",
           chosen,
           "start, pool, control, payload, connection, queue, serialisation, threads, "
           "lock, "
           "signals, shm, async, mpi; default: all"
    )
        ->check(CLI::IsMember(names));
    app.add_option("--json", json, "write the figures to this file, too");
    app.add_option("--python-script", settings.python_script, "the rivals in Python");
    app.add_flag("--quick", settings.quick, "few rounds: only to see that it runs");
    app.add_flag("--strict", strict, "status 1 when a target is missed");
    CLI11_PARSE(app, argc, argv);

    bench::Table table;
    try {
        for (const auto& [name, run] : groups) {
            if (chosen.empty() ||
                std::find(chosen.begin(), chosen.end(), name) != chosen.end()) {
                run(table, settings);
            }
        }
    } catch (const std::exception& error) {
        std::cerr << "bench: " << error.what() << '\n';
        return 1;
    }
    if (!json.empty() && !table.write_json(json)) {
        std::cerr << "bench: cannot write " << json << '\n';
        return 1;
    }
    return strict && !table.all_reached() ? 1 : 0;
}
