// SPDX-License-Identifier: BSL-1.0
// mpsum: sha256sum in parallel, each file hashed in a worker process.
#include "mp/mp.hpp"

#include "check_file.hpp"
#include "hash_report.hpp"
#include "message.hpp"
#include "options.hpp"
#include "runner.hpp"
#include "signals.hpp"
#include "standard_fds.hpp"
#include "walk.hpp"

#include <unistd.h>

#include <chrono>
#include <clocale>
#include <exception>
#include <memory>
#include <system_error>

namespace {

using namespace mpsum;

/// Ends the program now. What is still queued is of no use to anybody, and standard
/// input may never end, so nothing is waited for. The console first: that the workers
/// are gone is no news then.
[[noreturn]] void leave(Runner& runner, Console& console, int status) {
    exit_within_a_second(status);
    console.close(std::chrono::milliseconds(200));
    runner.kill_workers();
    ::_exit(status);
}

bool hash(Runner& runner, const Options& options, Console& console) {
    Walk walk(options.paths);
    HashReport report(options.format, console);
    Census census(
        console.shows_progress() ? std::make_unique<Walk>(options.paths) : nullptr
    );
    runner.run(walk, report, std::move(census));
    return report.all_hashed();
}

bool check_one(
    Runner& runner, const std::string& list, const Options& options, Console& console
) {
    const Algorithm algorithm = options.format.algorithm;
    std::unique_ptr<CheckFile> file;
    std::unique_ptr<CheckFile> ahead;
    try {
        file = std::make_unique<CheckFile>(list, algorithm, console);
        if (console.shows_progress() && file->can_be_read_twice()) {
            ahead = std::make_unique<CheckFile>(list, algorithm, console);
        }
    } catch (const std::system_error& error) {
        console.message(name_message(list, error.code().message()));
        return false;
    }
    runner.run(*file, *file, Census(std::move(ahead)));
    return file->finish();
}

bool check(Runner& runner, const Options& options, Console& console) {
    bool ok = true;
    for (const std::string& list : options.checklists) {
        ok = check_one(runner, list, options, console) && ok;
    }
    return ok;
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    occupy_standard_fds();
    std::setlocale(LC_CTYPE, "");  // messages show printable names as they are
    const auto parsed = parse_options(argc, argv);
    if (const int* const status = std::get_if<int>(&parsed)) {
        return *status;
    }
    const Options& options = std::get<Options>(parsed);
    block_ending_signals();

    Console console(options.progress);
    Runner runner(
        {options.format.algorithm,
         options.jobs,
         options.start_method,
         options.timeout,
         options.memory_limit},
        console
    );
    const SignalWatch watch([&](int signal) { leave(runner, console, 128 + signal); });
    try {
        const bool ok = options.checklists.empty() ? hash(runner, options, console)
                                                   : check(runner, options, console);
        console.finish();
        return ok ? 0 : 1;
    } catch (const std::exception& error) {
        try {
            console.message(error.what());
        } catch (const std::exception&) {
            // Standard output has failed before.
        }
        leave(runner, console, 1);
    }
}
