// SPDX-License-Identifier: BSL-1.0
// A child by spawn and one by the fork server, and a task of a process pool.
#include <futures/futures.hpp>
#include <mp/mp.hpp>

namespace {

int add(int a, int b) {
    return a + b;
}

void child(int a, int b) {
    throw mp::SystemExit(add(a, b));
}

}  // namespace

int main() {
    for (const char* method : {"spawn", "forkserver"}) {
        mp::Process process = mp::get_context(method).Process(child, 2, 3);
        process.start();
        process.join();
        if (process.exitcode() != 5) {
            return 1;
        }
    }
    futures::ProcessPoolExecutor pool(2);
    return pool.submit(add, 2, 3).result() == 5 ? 0 : 1;
}
