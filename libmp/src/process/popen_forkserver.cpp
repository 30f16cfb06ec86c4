// SPDX-License-Identifier: BSL-1.0
// Asks the fork server for a child, and for its exit code.
#include "process/popen_forkserver.hpp"

#include "mp/errors.hpp"

#include "os/pidfd.hpp"

#include <system_error>
#include <utility>

namespace mp::detail {

PopenForkserver::PopenForkserver(
    std::shared_ptr<ForkServer> server, ForkServer::Started started
) noexcept
    : LinkedPopen(started.pid, std::move(started.pidfd), std::move(started.link)),
      server_(std::move(server)),
      serial_(started.serial) {}

std::shared_ptr<PopenForkserver> PopenForkserver::launch(const Deadline& deadline) {
    try {
        for (bool again = true;;) {
            auto server = ForkServer::running(deadline);
            try {
                auto started = server->fork_child(deadline);
                return std::make_shared<PopenForkserver>(
                    std::move(server), std::move(started)
                );
            } catch (const SpawnError&) {
                // A server that was killed between two requests is replaced once, one
                // that another thread has retired as often as that happens.
                if (!server->is_retired() &&
                    (!std::exchange(again, false) || !server->is_gone())) {
                    throw;
                }
            }
        }
    } catch (const std::system_error& error) {
        std::throw_with_nested(SpawnError(
            SpawnStage::os, std::string("cannot start a child: ") + error.what()
        ));
    }
}

std::optional<os::ExitStatus> PopenForkserver::collect(const Deadline& deadline) {
    try {
        const auto status = server_->exit_status(serial_, deadline);
        server_.reset();
        return status;
    } catch (const TimeoutError&) {
        return std::nullopt;
    } catch (const std::exception&) {
        // It is gone. A process that adopts orphans, as the first one of a container
        // does, has the child now, and reaps it.
        if (!server_->wait_for_end(deadline)) {
            return std::nullopt;
        }
    }
    const auto status = os::pidfd_collect_status(sentinel());
    if (status) {
        server_.reset();
    }
    return status;
}

}  // namespace mp::detail
