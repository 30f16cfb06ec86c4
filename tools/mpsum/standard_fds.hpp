// SPDX-License-Identifier: BSL-1.0
// occupy_standard_fds: makes sure that descriptors 0, 1 and 2 are open.
// Threads: main, before anything is opened.
#pragma once

namespace mpsum {

/// A program that is started with one of them closed gives its number to the next file
/// that it opens, and would write results into that. The replacement fails as a closed
/// one does: reading from 0 and writing to 1 is EBADF.
void occupy_standard_fds();

}  // namespace mpsum
