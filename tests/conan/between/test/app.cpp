// SPDX-License-Identifier: BSL-1.0
// Knows nothing of libmp: its main has no line for children, nor its project one for
// libmp.
#include <between.hpp>

int main() {
    return sum_elsewhere(2, 3) == 5 ? 0 : 1;
}
