// SPDX-License-Identifier: BSL-1.0
// reason: why a file has no digest, in words.
// Threads: any.
#pragma once

#include "hash_files.hpp"

#include <string>

namespace mpsum {

/// Requires: the outcome is not `hashed`.
std::string reason(const FileResult& result);

}  // namespace mpsum
