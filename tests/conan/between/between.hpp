// SPDX-License-Identifier: BSL-1.0
// What a package offers that uses libmp inside.
#pragma once

// The sum, computed by a worker of a process pool and by a spawned child; 0 if they
// differ.
int sum_elsewhere(int a, int b);
