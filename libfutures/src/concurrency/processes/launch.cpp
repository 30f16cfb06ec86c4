// SPDX-License-Identifier: BSL-1.0
#include "concurrency/processes/launch.hpp"

#include "concurrency/errors.hpp"
#include "os/new_fd.hpp"
#include "os/pipe.hpp"

#include <fcntl.h>

#include <algorithm>
#include <cstdlib>
#include <string_view>
#include <utility>

namespace concurrency {

Command::Command(std::string shell_line)
    : arguments_{"/bin/sh", "-c", std::move(shell_line)} {}

Command::Command(std::vector<std::string> arguments)
    : arguments_(std::move(arguments)) {
    if (arguments_.empty()) {
        throw ValueError("a command without a program");
    }
}

namespace detail {

namespace os = mp::os;

namespace {

// Where programs are found without a PATH, as Python has it.
constexpr const char* usual_path = "/bin:/usr/bin";

std::string path_variable(const ProcessOptions::Values& options) {
    if (options.env) {
        const auto found = options.env->find("PATH");
        return found == options.env->end() ? usual_path : found->second;
    }
    const char* const path = std::getenv("PATH");
    return path == nullptr ? usual_path : path;
}

std::vector<std::string>
places_of(const std::string& program, const ProcessOptions::Values& options) {
    if (program.find('/') != std::string::npos || program.empty()) {
        return {program};
    }
    std::vector<std::string> places;
    const std::string path = path_variable(options);
    for (std::size_t at = 0; at <= path.size();) {
        const std::size_t end = std::min(path.find(':', at), path.size());
        const std::string folder = path.substr(at, end - at);
        places.push_back((folder.empty() ? "." : folder) + "/" + program);
        at = end + 1;
    }
    return places;
}

void check_no_zero(std::string_view text) {
    if (text.find('\0') != std::string_view::npos) {
        throw ValueError("a zero byte in what a program is to be given");
    }
}

std::vector<std::string> as_entries(const std::map<std::string, std::string>& variables
) {
    std::vector<std::string> entries;
    for (const auto& [name, value] : variables) {
        if (name.empty() || name.find('=') != std::string::npos) {
            throw ValueError("a name of an environment variable that is none: " + name);
        }
        entries.push_back(name + "=" + value);
        check_no_zero(entries.back());
    }
    return entries;
}

int null_of(Launch& launch) {
    if (!launch.null) {
        launch.null = os::new_fd("/dev/null", [] {
            return ::open("/dev/null", O_RDWR | O_CLOEXEC);
        });
    }
    return launch.null.get();
}

int stream_for(Launch& launch, Stdio stdio, mp::UniqueFd& child, mp::UniqueFd& own) {
    switch (stdio.kind()) {
    case Stdio::Kind::pipe: {
        auto [reader, writer] = os::make_pipe();
        const bool is_input = &own == &launch.in;
        child = std::move(is_input ? reader : writer);
        own = std::move(is_input ? writer : reader);
        return child.get();
    }
    case Stdio::Kind::null:
        return null_of(launch);
    case Stdio::Kind::file:
        if (stdio.file() < 0) {
            throw ValueError("a standard stream that is no descriptor");
        }
        return stdio.file();
    case Stdio::Kind::output:
        throw ValueError("STDOUT is for standard error only");
    case Stdio::Kind::inherited:
        break;
    }
    return -1;
}

}  // namespace

Launch prepare_launch(
    const Command& command, const ProcessOptions::Values& options, Stdio in
) {
    Launch launch;
    os::ProgramStart& start = launch.start;
    start.arguments = command.arguments();
    for (const std::string& argument : start.arguments) {
        check_no_zero(argument);
    }
    check_no_zero(options.cwd);
    start.paths = places_of(start.arguments.front(), options);
    start.directory = options.cwd;
    if (options.env) {
        start.environment = as_entries(*options.env);
    }
    start.keep = options.pass_fds;
    start.new_session = options.start_new_session;
    start.user = options.user;
    start.group = options.group;
    start.extra_groups = options.extra_groups;
    start.umask = options.umask;
    const bool error_is_output = options.err.kind() == Stdio::Kind::output;
    start.streams = {
        stream_for(launch, in, launch.child_in, launch.in),
        stream_for(launch, options.out, launch.child_out, launch.out),
        error_is_output
            ? -1
            : stream_for(launch, options.err, launch.child_err, launch.err)};
    if (error_is_output) {
        start.streams[2] = start.streams[1] < 0 ? 1 : start.streams[1];
    }
    return launch;
}

}  // namespace detail

}  // namespace concurrency
