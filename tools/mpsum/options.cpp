// SPDX-License-Identifier: BSL-1.0
// parse_options by CLI11, which must not read names as lists.
#include "options.hpp"

#include "mp/mp.hpp"

#include <CLI/CLI.hpp>

#include <cstring>
#include <iostream>
#include <map>
#include <utility>

namespace mpsum {

namespace {

constexpr unsigned max_jobs = 512;

// CLI11 reads an argument like "[a,b]" as a list of two. A name that begins so travels
// through it with a mark in front.
constexpr char mark = '\001';

/// The arguments in the order that CLI11 wants: last first.
std::vector<std::string> marked_arguments(int argc, char** argv) {
    std::vector<std::string> arguments;
    for (int i = argc - 1; i > 0; --i) {
        std::string argument = argv[i];
        if (!argument.empty() && (argument[0] == '[' || argument[0] == mark)) {
            argument.insert(argument.begin(), mark);
        }
        arguments.push_back(std::move(argument));
    }
    return arguments;
}

std::vector<std::string> unmarked(std::vector<std::string> names) {
    for (std::string& name : names) {
        if (!name.empty() && name[0] == mark) {
            name.erase(name.begin());
        }
    }
    return names;
}

/// What CLI::PositiveNumber checks, in other words.
CLI::Validator more_than_nothing(const std::string& what) {
    return {
        [what](const std::string& text) {
            double number = 0;
            const bool is_number = CLI::detail::lexical_cast(text, number);
            return is_number && number > 0
                       ? std::string()
                       : "must be " + what + " more than 0, not " + text;
        },
        ""};
}

constexpr const char* mpi_option = "--mpi";

/// Where the words cannot be understood, `--mpi` is the option wherever it stands.
Refusal refusal(int argc, char** argv) {
    Refusal refused;
    for (int i = 1; i < argc; ++i) {
        refused.in_ranks = refused.in_ranks || std::strcmp(argv[i], mpi_option) == 0;
    }
    return refused;
}

}  // namespace

std::variant<Options, Refusal> parse_options(int argc, char** argv) {
    Options options;
    const auto complain = [&](const std::string& text) {
        Refusal refused = refusal(argc, argv);
        refused.status = 1;
        refused.err = "mpsum: " + text + "\nTry 'mpsum --help' for more information.\n";
        return refused;
    };
    std::string algorithm = "sha256";
    const std::map<std::string, ProgressMode> modes{
        {"auto", ProgressMode::automatic},
        {"always", ProgressMode::always},
        {"never", ProgressMode::never}};

    CLI::App app("Print or check checksums, each file hashed in a worker process.");
    app.name("mpsum");
    app.footer("PATH: a file, a directory (its files, recursively), or - for standard "
               "input, which is the default.");
    app.option_defaults()->multi_option_policy(CLI::MultiOptionPolicy::TakeLast);
    app.add_option("-a,--algorithm", algorithm, "sha256, sha512, sha1 or md5")
        ->check(CLI::IsMember({"sha256", "sha512", "sha1", "md5"}))
        ->capture_default_str();
    app.add_option(
           "-j,--jobs", options.jobs, "worker processes; with --mpi, of each rank"
    )
        ->check(CLI::Range(1U, max_jobs))
        ->default_str(std::to_string(mp::usable_cpu_count()));
    app.add_option("--start-method", options.start_method, "how workers are started")
        ->check(CLI::IsMember({"forkserver", "spawn", "fork"}));
    app.add_flag(mpi_option, options.in_ranks, "hash in the ranks of an MPI job")
        ->disable_flag_override();
    app.add_option("--timeout", options.timeout, "give up a file after so many seconds")
        ->check(more_than_nothing("a number of seconds"))
        ->type_name("SECONDS");
    app.add_option(
           "--memory-limit",
           options.memory_limit,
           "give up a file that takes more memory"
    )
        ->transform(CLI::AsSizeValue(false))
        ->check(more_than_nothing("a number of bytes"))
        ->type_name("SIZE");
    app.add_option("--progress", options.progress, "auto, always or never")
        ->transform(CLI::CheckedTransformer(modes, CLI::ignore_case).description("MODE")
        );
    app.add_flag("--tag", options.format.tag, "BSD-style lines");
    app.add_flag("-z,--zero", options.format.zero, "lines end with NUL, no escapes");
    // Taken by results(), as they are: bound to a vector, "{}" would be an empty one.
    std::vector<std::string> unused;
    const CLI::Option* const checklists =
        app.add_option("-c,--check", unused, "check the files listed in FILE")
            ->type_name("FILE")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll)
            ->allow_extra_args(false);
    const CLI::Option* const paths =
        app.add_option("PATH", unused, "what to hash; with --check, further lists")
            ->type_name("")
            ->multi_option_policy(CLI::MultiOptionPolicy::TakeAll);
    try {
        app.parse(marked_arguments(argc, argv));
    } catch (const CLI::CallForHelp&) {
        Refusal refused = refusal(argc, argv);
        refused.out = app.help();
        return refused;
    } catch (const CLI::ParseError& error) {
        return complain(error.what());
    }

    options.format.algorithm = *algorithm_named(algorithm);
    if (options.in_ranks && !options.start_method.empty() &&
        options.start_method != "forkserver") {
        return complain("with the --mpi option workers are started by a fork server");
    }
    options.checklists = unmarked(checklists->results());
    options.paths = unmarked(paths->results());
    if (!options.checklists.empty()) {
        if (options.format.tag) {
            return complain("the --tag option is meaningless when verifying checksums");
        }
        if (options.format.zero) {
            return complain(
                "the --zero option is not supported when verifying checksums"
            );
        }
        options.checklists.insert(
            options.checklists.end(), options.paths.begin(), options.paths.end()
        );
        options.paths.clear();
    } else if (options.paths.empty()) {
        options.paths.emplace_back("-");
    }
    return options;
}

int tell(const Refusal& refusal) {
    std::cerr << refusal.err << std::flush;
    std::cout << refusal.out << std::flush;
    return std::cout ? refusal.status : 1;
}

}  // namespace mpsum
