// SPDX-License-Identifier: BSL-1.0
// popen_spawn: a child that is this program, executed again.
#pragma once

#include "os/exec.hpp"
#include "process/popen.hpp"

#include <memory>

namespace mp::detail {

class PopenSpawn final : public LinkedPopen {
public:
    using LinkedPopen::LinkedPopen;

    /// Executes the program; it waits for send(). Throws SpawnError{os, exec}.
    static std::shared_ptr<PopenSpawn> launch(const os::Surroundings& surroundings);

private:
    std::optional<os::ExitStatus> collect(const Deadline& deadline) override {
        return collect_own_child(deadline);
    }
};

}  // namespace mp::detail
