// SPDX-License-Identifier: BSL-1.0
// Preparation: what a new process is told about itself before it decodes what to run.
#pragma once

#include "mp/detail/bytes.hpp"
#include "mp/detail/environment.hpp"
#include "mp/identity.hpp"
#include "mp/start_method.hpp"

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace mp::detail {

struct Preparation {
    std::string name;
    std::vector<int> identity;
    AuthenticationString authkey;
    bool daemon = false;
    bool die_with_parent = false;
    std::string parent_name;
    pid_t parent_pid = 0;
    std::optional<StartMethod> start_method;
    std::string directory;
    bool elsewhere = false;   ///< that is not its parent's; a forked child's own
    Environment environment;  ///< changes of the parent's
    int log_level = 0;
    std::uint32_t parent_watch_fd = 0;  ///< index among the descriptors that travel
    std::int32_t tracker_fd = -1;       ///< likewise; -1 when no tracker runs

    void write(ByteWriter& out) const;
    static Preparation read(ByteReader& in);
};

}  // namespace mp::detail
