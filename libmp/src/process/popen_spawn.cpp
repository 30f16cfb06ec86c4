// SPDX-License-Identifier: BSL-1.0
// Starts the program again, and holds the other end of its socket.
#include "process/popen_spawn.hpp"

#include "mp/errors.hpp"

#include "os/fd_passing.hpp"
#include "os/socket.hpp"
#include "process/own_program.hpp"

#include <system_error>

namespace mp::detail {

std::shared_ptr<PopenSpawn> PopenSpawn::launch(const os::Surroundings& surroundings) {
    try {
        auto [ours, childs] = os::make_socketpair(os::SocketKind::stream);
        os::name_senders(childs.get());
        auto child = std::make_shared<PopenSpawn>(std::move(ours));
        const pid_t pid = start_own_program(child_argument, childs, surroundings);
        // Until it has received its message the child cannot end of its own will, so
        // the pid is still its own; if it was killed, its zombie keeps the pid for us.
        child->own(pid, os::pidfd_of_new_child(pid));
        return child;
    } catch (const std::system_error& error) {
        std::throw_with_nested(SpawnError(
            SpawnStage::os, std::string("cannot start a child: ") + error.what()
        ));
    }
}

}  // namespace mp::detail
