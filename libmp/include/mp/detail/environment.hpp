// SPDX-License-Identifier: BSL-1.0
// Environment: which variables a process gets that its parent does not have, or has
// otherwise.
// Python:  the `env` of subprocess.Popen; multiprocessing has none.
// Differs: names only what changes; std::nullopt takes a variable away.
// Threads: any; it is a value.
#pragma once

#include <map>
#include <optional>
#include <string>

namespace mp {

/// `{{"OMP_NUM_THREADS", "1"}, {"DISPLAY", std::nullopt}}`
using Environment = std::map<std::string, std::optional<std::string>>;

}  // namespace mp
