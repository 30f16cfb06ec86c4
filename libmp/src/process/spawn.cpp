// SPDX-License-Identifier: BSL-1.0
#include "mp/spawn.hpp"

#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"
#include "mp/thread_safety.hpp"

#include "data/spawning.hpp"
#include "os/exec.hpp"
#include "os/fork.hpp"
#include "os/signals.hpp"
#include "process/child_link.hpp"
#include "process/forkserver_main.hpp"
#include "process/own_program.hpp"
#include "process/resource_tracker_client.hpp"
#include "process/resource_tracker_main.hpp"
#include "util/diagnostics.hpp"
#include "util/exit_function.hpp"
#include "util/parent_watch.hpp"

#include <fcntl.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <array>
#include <charconv>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <optional>
#include <string_view>
#include <system_error>

namespace mp {
namespace detail {
namespace {

enum class Life { child, server, tracker };

struct Role {
    Life life = Life::child;
    int socket = -1;
};

// What the arguments say this process is; nothing in an ordinary start of the program.
std::optional<Role> role_of(int argc, char** argv) {
    if (argc != 3 || argv[1] == nullptr || argv[2] == nullptr) {
        return std::nullopt;
    }
    const std::string_view kind(argv[1]);
    const std::string_view number(argv[2]);
    Role role;
    if (kind == server_argument) {
        role.life = Life::server;
    } else if (kind == tracker_argument) {
        role.life = Life::tracker;
    } else if (kind != child_argument) {
        return std::nullopt;
    }
    const auto [end, error] =
        std::from_chars(number.data(), number.data() + number.size(), role.socket);
    if (error != std::errc() || role.socket < 3 || ::fcntl(role.socket, F_GETFD) < 0) {
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

struct Executable {
    Mutex mutex;
    std::string path MP_GUARDED_BY(mutex);
};

Executable& executable() {
    static auto* const instance = new Executable;
    return *instance;
}

// Under /proc/self/exe the kernel names the process "exe".
void restore_process_name() {
    ::prctl(PR_SET_NAME, os::program_short_name());
}

void settle_in(const Preparation& preparation) {
    os::close_standard_input();
    os::restore_signals();
    inherit_start_method(preparation.start_method);
    set_log_level(preparation.log_level);
    if (!preparation.directory.empty() && ::chdir(preparation.directory.c_str()) != 0) {
        log_warning("the parent's directory is gone: " + preparation.directory);
    }
    set_parent_watch_fd(take_over(preparation.alive_fd));
    if (preparation.tracker_fd >= 0) {
        set_resource_tracker(take_over(static_cast<std::uint32_t>(preparation.tracker_fd
        )));
    }
    if (preparation.die_with_parent) {
        die_with_parent();
    }
    ensure_exit_step();
}

int life_of_child(int socket) {
    StartMessage message;
    try {
        message = receive_start(socket);
    } catch (const BinaryMismatch& mismatch) {
        send_answer(socket, mismatch.what());
        return 1;
    } catch (const EOFError&) {
        return 1;  // The parent is gone, or gave up.
    }
    set_received_fds(std::move(message.fds));
    ByteReader in(message.body);
    const auto body = reinterpret_cast<ChildBody>(const_cast<void*>(read_code_ref(in)));
    Preparation preparation = Preparation::read(in);
    settle_in(preparation);
    send_answer(socket, {});
    ::close(socket);
    return body(std::move(preparation), in);
}

}  // namespace

pid_t start_own_program(const std::string& kind, const UniqueFd& socket) {
    std::string program;
    {
        Executable& chosen = executable();
        const MutexLock held(chosen.mutex);
        program = chosen.path;
    }
    if (program.empty()) {
        program = os::own_program();
    }
    const std::array<int, 1> keep{socket.get()};
    try {
        return os::start_program(program, {kind, std::to_string(socket.get())}, keep);
    } catch (const std::system_error& error) {
        std::throw_with_nested(SpawnError(
            SpawnStage::exec,
            "cannot execute " + program + ": " + error.code().message()
        ));
    }
}

void run_child(UniqueFd socket) {
    ::fcntl(socket.get(), F_SETFD, FD_CLOEXEC);
    int code = 1;
    try {
        code = life_of_child(socket.release());
    } catch (const std::exception& error) {
        std::fprintf(stderr, "a child process could not begin: %s\n", error.what());
    }
    std::exit(code);
}

void refuse_while_bootstrapping() {
    if (role_at_load && !reached_freeze_support) {
        throw StateError(
            "a process was started while its own program was still bootstrapping: this "
            "is a "
            "child of the program, and main() must begin with mp::freeze_support(argc, "
            "argv) "
            "before any process is started (a static initialiser must not start one)"
        );
    }
}

}  // namespace detail

void freeze_support(int argc, char** argv) {
    detail::reached_freeze_support = true;
    const auto role =
        detail::role_at_load ? detail::role_at_load : detail::role_of(argc, argv);
    if (!role) {
        return;
    }
    detail::restore_process_name();
    UniqueFd socket(role->socket);
    switch (role->life) {
    case detail::Life::server:
        detail::run_fork_server(std::move(socket));
    case detail::Life::tracker:
        detail::run_resource_tracker(std::move(socket));
    case detail::Life::child:
        detail::run_child(std::move(socket));
    }
}

void set_executable(const std::filesystem::path& program) {
    auto& chosen = detail::executable();
    const detail::MutexLock held(chosen.mutex);
    chosen.path = program.string();
}

}  // namespace mp
