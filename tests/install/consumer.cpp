// SPDX-License-Identifier: BSL-1.0
// A stranger's program: it knows the installed headers and the three targets. Its main
// has no line for children, because libmp::main sees to them; with FREEZE it has one.
#include <cstdio>
#include <futures/futures.hpp>
#include <mp/mp.hpp>

namespace {

int work(int a, int b) {
    return a + b == 5 ? 7 : 1;
}

}  // namespace

int main([[maybe_unused]] int argc, [[maybe_unused]] char** argv) {
#ifdef FREEZE
    mp::freeze_support(argc, argv);
#endif
    for (const mp::StartMethod method : mp::get_all_start_methods()) {
        mp::Process child = mp::get_context(method).Process(
            [](int a, int b) { throw mp::SystemExit(work(a, b)); }, 2, 3
        );
        child.start();
        child.join();
        if (child.exitcode() != 7) {
            std::fprintf(
                stderr, "a child ended with %d\n", child.exitcode().value_or(-1)
            );
            return 1;
        }
    }
    futures::ProcessPoolExecutor pool(1);
    return pool.submit(work, 2, 3).result() == 7 ? 0 : 1;
}
