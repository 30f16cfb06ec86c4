// SPDX-License-Identifier: BSL-1.0
// A plug-in that finds a library of its own beside itself.
extern "C" int neighbour(int x);
extern "C" int plug_in_task(int x);

int plug_in_task(int x) {
    return neighbour(x) + 1;
}
