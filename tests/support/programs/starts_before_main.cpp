// SPDX-License-Identifier: BSL-1.0
// A program whose static initialiser starts a process by spawn.
#include "mp/context.hpp"
#include "mp/spawn.hpp"

#include <cstdio>

namespace {

const int started = [] {
    mp::Process p = mp::get_context("spawn").Process([] { std::puts("123"); });
    try {
        p.start();
        p.join();
        return 0;
    } catch (const mp::SpawnError& error) {
        std::printf("SpawnError: %s\n", error.what());
        return 10;
    }
}();

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    return started;
}
