// SPDX-License-Identifier: BSL-1.0
// What origin_plug_in.cpp needs.
extern "C" int neighbour(int x);

int neighbour(int x) {
    return 10 * x;
}
