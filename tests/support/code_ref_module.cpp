// SPDX-License-Identifier: BSL-1.0
// A shared library to be loaded by hand. Built twice, with another FACTOR.
extern "C" int scale(int x);

int scale(int x) {
    return FACTOR * x;
}
