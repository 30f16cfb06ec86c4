// SPDX-License-Identifier: BSL-1.0
// The leak listener: after every test case the process must be as it was before it.
// What it compares: children and zombies, orphaned grandchildren, descriptors, names in
// /dev/shm, threads, the signal mask and the signal dispositions.
#pragma once

namespace test {

/// Whether any case so far left something behind (each was printed to stderr).
bool leaks_found() noexcept;

}  // namespace test
