// SPDX-License-Identifier: BSL-1.0
#include "popen_forkserver.hpp"

#include "mp/errors.hpp"

#include "pidfd.hpp"
#include "socket.hpp"

#include <system_error>

namespace mp::detail {
namespace {

using namespace std::chrono_literals;

// The server sees the end when we see it; only a stopped one takes longer than this.
constexpr auto servers_word = 5s;

constexpr int unknown_code = 255;

}  // namespace

PopenForkserver::PopenForkserver(
    std::shared_ptr<ForkServer> server, ForkServer::Started started, UniqueFd link
) noexcept
    : LinkedPopen(started.pid, std::move(started.pidfd), std::move(link)),
      server_(std::move(server)),
      serial_(started.serial) {}

std::shared_ptr<PopenForkserver> PopenForkserver::launch(const Deadline& deadline) {
    try {
        for (bool again = true;; again = false) {
            auto [ours, childs] = os::make_socketpair(os::SocketKind::stream);
            auto server = ForkServer::running(deadline);
            try {
                auto started = server->fork_child(childs, deadline);
                return std::make_shared<PopenForkserver>(
                    std::move(server), std::move(started), std::move(ours)
                );
            } catch (const SpawnError&) {
                // A server that was killed between two requests is replaced once.
                if (!again || !server->is_gone()) {
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

int PopenForkserver::collect() {
    const auto server = std::move(server_);
    if (const auto code = server->exit_code(serial_, Deadline(servers_word))) {
        return *code;
    }
    if (const auto status = os::pidfd_remembered_status(sentinel())) {
        return status->code;
    }
    return unknown_code;
}

}  // namespace mp::detail
