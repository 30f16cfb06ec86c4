// SPDX-License-Identifier: BSL-1.0
// popen_forkserver: a child that the fork server forked for us.
#pragma once

#include "process/forkserver_client.hpp"
#include "process/popen.hpp"

#include <memory>

namespace mp::detail {

class PopenForkserver final : public LinkedPopen {
public:
    PopenForkserver(
        std::shared_ptr<ForkServer> server, ForkServer::Started started
    ) noexcept;

    /// Asks the server, once more if it went meanwhile; the child waits for send().
    /// Throws SpawnError.
    static std::shared_ptr<PopenForkserver> launch(const Deadline& deadline);

private:
    std::optional<os::ExitStatus> collect(const Deadline& deadline) override;

    std::shared_ptr<ForkServer> server_;
    std::uint64_t serial_;
};

}  // namespace mp::detail
