// SPDX-License-Identifier: BSL-1.0
// popen_fork: a child that is a copy of this process.
#pragma once

#include "process/popen.hpp"

#include <functional>
#include <memory>

namespace mp::detail {

class PopenFork final : public Popen {
public:
    using Popen::Popen;

    /// Forks. The child runs `body` and leaves by exit() with what that returns; it
    /// never comes back here. Throws SpawnError{os}.
    static std::shared_ptr<PopenFork> launch(const std::function<int()>& body);

private:
    std::optional<os::ExitStatus> collect(const Deadline& deadline) override {
        return collect_own_child(deadline);
    }
};

}  // namespace mp::detail
