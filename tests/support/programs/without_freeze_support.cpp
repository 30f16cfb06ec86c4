// SPDX-License-Identifier: BSL-1.0
// A program whose main does not begin with freeze_support. Prints 123 from a child, or
// what went wrong.
#include "mp/context.hpp"

#include <cstdio>
#include <string>

int main(int argc, char** argv) {
    // In a child of this program the arguments are the library's, not these.
    const std::string method = argc == 2 ? argv[1] : "spawn";
    mp::Process p = mp::get_context(method).Process([] { std::puts("123"); });
    try {
        p.start();
        p.join();
        return p.exitcode().value_or(99);
    } catch (const mp::SpawnError& error) {
        std::printf("SpawnError: %s\n", error.what());
        return 10;
    } catch (const mp::StateError& error) {
        std::fprintf(stderr, "StateError: %s\n", error.what());
        return 11;
    }
}
