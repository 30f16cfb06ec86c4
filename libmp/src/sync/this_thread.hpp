// SPDX-License-Identifier: BSL-1.0
// this_thread: which thread of its process the calling one is.
#pragma once

#include <cstdint>
#include <string>

namespace mp::detail {

/// A number that no other thread of this process has or had; never 0.
std::uint32_t thread_number() noexcept;

/// Empty in the main thread, else the name that the thread has in the system.
std::string thread_name();

}  // namespace mp::detail
