// SPDX-License-Identifier: BSL-1.0
// mpsum: sha256sum in parallel, each file hashed in a worker process.
#include "mp/mp.hpp"
#include "mp/thread_safety.hpp"

#include "check_file.hpp"
#include "hash_report.hpp"
#include "message.hpp"
#include "options.hpp"
#include "ranks.hpp"
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
#include <variant>

namespace {

using namespace mpsum;

/// What is under way in this process, for the thread that ends it.
class Work {
public:
    /// While it lives, these work.
    class Scope {
    public:
        Scope(Work& work, Runner& runner, Console& console) : work_(work) {
            work_.set(&runner, &console);
        }

        ~Scope() { work_.set(nullptr, nullptr); }
        Scope(Scope&&) = delete;
        Scope& operator=(Scope&&) = delete;

    private:
        Work& work_;
    };

    /// Ends the program now. What is still queued is of no use to anybody, and standard
    /// input may never end, so nothing is waited for. The console first: that the
    /// workers are gone is no news then.
    [[noreturn]] void leave(int status) {
        exit_within_a_second(status);
        const mp::detail::MutexLock lock(mutex_);
        if (console_ != nullptr) {
            console_->close(std::chrono::milliseconds(200));
        }
        if (runner_ != nullptr) {
            runner_->end_workers(status);
        }
        ::_exit(status);
    }

private:
    void set(Runner* runner, Console* console) {
        const mp::detail::MutexLock lock(mutex_);
        runner_ = runner;
        console_ = console;
    }

    mp::detail::Mutex mutex_;
    Runner* runner_ MP_GUARDED_BY(mutex_) = nullptr;  // none in a rank that serves
    Console* console_ MP_GUARDED_BY(mutex_) = nullptr;
};

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

int run(const Options& options, Work& work) {
    Console console(options.progress);
    Runner runner(
        {options.format.algorithm,
         options.jobs,
         options.start_method,
         options.timeout,
         options.memory_limit},
        options.in_ranks,
        console
    );
    const Work::Scope scope(work, runner, console);
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
        work.leave(1);
    }
}

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    occupy_standard_fds();
    std::setlocale(LC_CTYPE, "");  // messages show printable names as they are
    const auto parsed = parse_options(argc, argv);
    if (const auto* const refused = std::get_if<Refusal>(&parsed)) {
        return refused->in_ranks
                   ? run_in_ranks(argc, argv, [&] { return tell(*refused); })
                   : tell(*refused);
    }
    const Options& options = std::get<Options>(parsed);
    // Before MPI has threads, which would be asked to end.
    block_ending_signals();
    Work work;
    const SignalWatch watch([&](int signal) { work.leave(128 + signal); });
    return options.in_ranks
               ? run_in_ranks(argc, argv, [&] { return run(options, work); })
               : run(options, work);
}
