// SPDX-License-Identifier: BSL-1.0
// What this run of the program is: its main process, a child or a helper. Its arguments
// tell, and freeze_support() makes it so.
#include "process/freeze_support.hpp"

#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"
#include "mp/fd.hpp"
#include "mp/spawn.hpp"

#include "os/exec.hpp"
#include "process/child_entry.hpp"
#include "process/child_main.hpp"
#include "process/child_mark.hpp"
#include "process/forkserver_main.hpp"
#include "process/own_program.hpp"
#include "process/resource_tracker_main.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <charconv>
#include <cstdio>
#include <optional>
#include <string_view>
#include <system_error>
#include <utility>

namespace mp {
namespace detail {
namespace {

enum class RunKind { child, server, tracker };

struct Role {
    RunKind kind = RunKind::child;
    int socket = -1;
};

bool names_a_role(std::string_view argument) noexcept {
    return argument == server_argument || argument == tracker_argument ||
           argument == child_argument;
}

// What the arguments say this process is; nothing in an ordinary start of the program.
std::optional<Role> role_of(int argc, char** argv) {
    if (argc < 3 || argv[1] == nullptr || argv[2] == nullptr) {
        return std::nullopt;
    }
    // The fourth is the module that libmp-worker loads.
    if (argc > 4 || (argc == 4 && (argv[3] == nullptr || *argv[3] != '/'))) {
        return std::nullopt;
    }
    const std::string_view argument(argv[1]);
    const std::string_view number(argv[2]);
    if (!names_a_role(argument)) {
        return std::nullopt;
    }
    Role role;
    if (argument == server_argument) {
        role.kind = RunKind::server;
    } else if (argument == tracker_argument) {
        role.kind = RunKind::tracker;
    }
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), role.socket);
    if (error != std::errc() || end != number.data() + number.size() ||
        role.socket < 3 || ::fcntl(role.socket, F_GETFD) < 0) {
        return std::nullopt;
    }
    return role;
}

constinit std::optional<Role> role_at_load;
bool reached_freeze_support = false;

// glibc gives constructors the arguments of main. This one has the first priority that
// programs may use, so it has run when the first static initialiser does.
[[gnu::constructor(101)]] void look_at_arguments(int argc, char** argv, char**) {
    role_at_load = role_of(argc, argv);
}

// Under /proc/self/exe the kernel names the process "exe".
void restore_process_name() {
    ::prctl(PR_SET_NAME, os::program_short_name());
}

}  // namespace

void refuse_while_bootstrapping() {
    // A plug-in is loaded when its host may have overwritten the arguments.
    if (!reached_freeze_support && (role_at_load || bears_child_mark())) {
        throw StateError(
            "a process was started while its own program was still bootstrapping: "
            "this is a child of the program, and main() must begin with "
            "mp::freeze_support(argc, argv) before any process is started "
            "(a static initialiser must not start one); where main is another's, "
            "mp::set_executable() names libmp-worker"
        );
    }
}

}  // namespace detail

void freeze_support(int argc, char** argv) {
    const bool is_child = detail::is_started_child();
    detail::reached_freeze_support = true;
    detail::remove_child_variable();
    const auto role =
        detail::role_at_load ? detail::role_at_load : detail::role_of(argc, argv);
    if (role || (argc > 1 && argv[1] != nullptr && detail::names_a_role(argv[1]))) {
        detail::leave_unless_may_be_child();
    }
    if (!role) {
        if (is_child) {
            // It would run main(), start this child, and so on.
            std::fputs(
                "this process was started as a child, but not with a child's arguments "
                "and descriptors: does a script stand between?\n",
                stderr
            );
            ::_exit(1);
        }
        return;
    }
    detail::leave_unless_child_of(role->socket);
    detail::restore_process_name();
    UniqueFd socket(role->socket);
    switch (role->kind) {
    case detail::RunKind::server:
        detail::run_fork_server(std::move(socket));
    case detail::RunKind::tracker:
        detail::run_resource_tracker(std::move(socket));
    case detail::RunKind::child:
        detail::run_child(std::move(socket));
    }
}

}  // namespace mp

// How libmp-worker comes into the module that it has loaded; it finds this by its name.
extern "C" void mp_worker_main(int argc, char** argv);

extern "C" [[gnu::used, gnu::visibility("default")]] void
mp_worker_main(int argc, char** argv) {
    mp::detail::program_is_a_worker();
    mp::freeze_support(argc, argv);
}
