// SPDX-License-Identifier: BSL-1.0
// occupy_standard_fds: makes sure that descriptors 0, 1 and 2 are open.
// Threads: main, before anything is opened.
#pragma once

namespace mpsum {

/// Whoever starts us with one of them closed would otherwise have it taken by the next
/// file that is opened, and results written into that. The replacement fails as a
/// closed one does: reading from 0 and writing to 1 is EBADF.
void occupy_standard_fds();

}  // namespace mpsum
