// SPDX-License-Identifier: BSL-1.0
// Which program is run again: this one, or what set_executable() names.
#include "process/own_program.hpp"

#include "mp/detail/code_ref.hpp"
#include "mp/errors.hpp"
#include "mp/spawn.hpp"
#include "mp/thread_safety.hpp"

#include "os/credentials.hpp"
#include "os/exec.hpp"
#include "os/fork_lock.hpp"
#include "process/child_mark.hpp"

#include <unistd.h>

#include <array>
#include <exception>
#include <system_error>
#include <utility>
#include <vector>

namespace mp {
namespace detail {
namespace {

struct Executable {
    os::ForkLock lock;
    std::string path MP_GUARDED_BY(lock);
};

Executable& executable() {
    static auto* const instance = new Executable;
    return *instance;
}

}  // namespace

pid_t start_own_program(
    const std::string& kind,
    const UniqueFd& socket,
    const os::Surroundings& surroundings
) {
    std::string program;
    {
        Executable& chosen = executable();
        const os::ForkLockHeld held(chosen.lock);
        program = chosen.path;
    }
    // The copy looks for itself (child_entry.cpp) and is what decides: a program that
    // only a change of its security domain gave rights starts copies that have none.
    if (os::was_given_rights() &&
        (os::has_several_users() ||
         (program.empty() && os::gives_rights(os::own_program().c_str())))) {
        throw SpawnError(
            SpawnStage::exec,
            "this program has rights that its caller has not (set-user-id, "
            "set-group-id or capabilities of its file), and is not run again as a "
            "child or a helper: fork is the start method that works here, and "
            ".track = false makes SharedMemory without the resource tracker"
        );
    }
    std::vector<std::string> arguments{kind, std::to_string(socket.get())};
    // What libmp-worker loads; a copy of this program does not look at it.
    if (!program.empty() || is_program_a_worker()) {
        if (std::string library = library_path(); !library.empty()) {
            arguments.push_back(std::move(library));
        }
    }
    if (program.empty()) {
        program = os::own_program();
        auto first = os::own_first_arguments();
        arguments.insert(arguments.begin(), first.begin(), first.end());
        if (::access(program.c_str(), X_OK) != 0 && !os::has_proc()) {
            throw SpawnError(
                SpawnStage::exec,
                "this program cannot be found to run it again: /proc is not mounted, "
                "and it was not started by an absolute path (mp::set_executable() can "
                "name it)"
            );
        }
    }
    const std::array<int, 1> keep{socket.get()};
    mark_socket(socket);
    try {
        os::Surroundings found = surroundings;
        if (program.front() != '/' || arguments.front() != kind) {
            found.directory.clear();  // the child goes there itself, once it is found
        }
        return os::start_program(program, arguments, keep, child_variable(), found);
    } catch (const std::system_error& error) {
        std::throw_with_nested(SpawnError(
            SpawnStage::exec,
            "cannot execute " + program + ": " + error.code().message()
        ));
    }
}

}  // namespace detail

void set_executable(const std::filesystem::path& program) {
    auto& chosen = detail::executable();
    const os::ForkLockHeld held(chosen.lock);
    chosen.path = program.string();
}

}  // namespace mp
