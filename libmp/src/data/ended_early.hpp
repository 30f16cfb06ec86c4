// SPDX-License-Identifier: BSL-1.0
// EndedEarly: a child, or the fork server, ended before it said that it runs. A
// SpawnError for everybody; who starts processes again and again looks at how it ended.
#pragma once

#include "mp/errors.hpp"

#include <optional>
#include <string>

namespace mp::detail {

struct EndedEarly final : SpawnError {
    /// The exit code, or -N for signal N; nothing when nobody can tell.
    EndedEarly(SpawnStage at, const std::string& what, std::optional<int> code)
        : SpawnError(at, what), exitcode(code) {}

    std::optional<int> exitcode;
};

}  // namespace mp::detail
