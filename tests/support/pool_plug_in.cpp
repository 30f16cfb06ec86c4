// SPDX-License-Identifier: BSL-1.0
// A plug-in that uses a process pool, a process and named memory inside a host that
// knows nothing of that. Loaded by programs/plain_host.cpp and overwriting_host.cpp.
#include "futures/process_pool.hpp"
#include "mp/mp.hpp"
#include "mp/resource_tracker.hpp"
#include "mp/shared_memory.hpp"
#include "mp/spawn.hpp"

#include <unistd.h>

#include <cstdio>
#include <exception>
#include <filesystem>
#include <stdexcept>
#include <string>
#include <vector>

extern "C" int plug_in_run(const char* method, const char* worker);
extern "C" int plug_in_start(const char* method);

namespace {

int square(int x) {
    if (x < 0) {
        throw std::domain_error("negative");
    }
    return x * x;
}

int crash(int x) {
    if (x != 0) {
        __builtin_trap();  // which no sanitizer takes for itself
    }
    return x;
}

std::string program_of_child(int) {
    return std::filesystem::read_symlink("/proc/self/exe").filename();
}

// A child starts children of its own: by the same program.
int squares_of_squares(int x) {
    futures::ProcessPoolExecutor pool(
        {.max_workers = 1, .mp_context = mp::get_context("spawn")}
    );
    return pool.submit(square, square(x)).result();
}

void add(mp::Queue<int> queue, int x) {
    queue.put(x);
}

void check(bool good, const char* what) {
    if (!good) {
        throw std::runtime_error(std::string("wrong: ") + what);
    }
}

void run(const mp::Context& context) {
    futures::ProcessPoolExecutor pool(
        {.max_workers = 2,
         .mp_context = context,
         .on_worker_loss = futures::OnWorkerLoss::isolate}
    );
    std::vector<int> inputs{1, 2, 3};
    check(pool.map(square, inputs).to_vector() == std::vector{1, 4, 9}, "map");
    check(pool.submit([](int x) { return x + 1; }, 1).result() == 2, "lambda");
    const bool forks = context.get_start_method() == mp::StartMethod::fork;
    const std::string program = forks ? "plain_host" : "libmp-worker";
    check(pool.submit(program_of_child, 0).result() == program, "program");
    check(pool.submit(squares_of_squares, 3).result() == 81, "nested");
    try {
        pool.submit(square, -1).result();
        check(false, "exception");
    } catch (const std::domain_error&) {
    }
    try {
        pool.submit(crash, 1).result();
        check(false, "crash");
    } catch (const futures::WorkerLost& lost) {
        std::printf("stack: %s", lost.report().stack.c_str());
    }
    auto queue = context.Queue<int>();
    auto child = context.Process(add, queue, 5);
    child.start();
    check(queue.get() == 5, "queue");
    child.join();
    check(child.exitcode() == 0, "exit code");
    mp::SharedMemory memory({.create = true, .size = 4096}
    );  // starts the resource tracker
    memory.unlink();
    mp::resource_tracker::ensure_running();
}

}  // namespace

int plug_in_run(const char* method, const char* worker) {
    try {
        if (*worker != '\0') {
            mp::set_executable(worker);
        }
        run(mp::get_context(method));
        mp::stop_helpers();
        std::puts("all good");
        return 0;
    } catch (const std::exception& error) {
        std::printf("error: %s\n", error.what());
        return 1;
    }
}

int plug_in_start(const char* method) {
    try {
        auto child = mp::get_context(method).Process([] {});
        child.start();
        child.join();
        return child.exitcode().value_or(30);
    } catch (const mp::SpawnError& error) {
        std::printf("SpawnError: %s\n", error.what());
        return 10;
    } catch (const mp::StateError& error) {
        std::printf("StateError: %s\n", error.what());
        return 11;
    }
}
