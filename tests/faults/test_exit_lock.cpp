// SPDX-License-Identifier: BSL-1.0
// Processes are forked while other threads are inside the C library: registering exit
// handlers, loading libraries, ending the program. No child waits at its end for what
// they held.
#include "futures/futures.hpp"
#include "mp/mp.hpp"

#include "support/catch.hpp"
#include "support/fork_child.hpp"
#include "support/pools.hpp"

#include <dlfcn.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <thread>
#include <utility>
#include <vector>

using namespace std::chrono_literals;

// What the first use of a static object does, and std::atexit().
// NOLINTNEXTLINE(bugprone-reserved-identifier,readability-identifier-naming)
extern "C" int __cxa_atexit(void (*)(void*), void*, void*);

namespace {

using Busy = void (*)();

void register_handlers() {
    // Each keeps 32 bytes for ever.
    static std::atomic<int> count{0};
    if (count.fetch_add(1) < 5'000'000) {
        ::__cxa_atexit([](void*) {}, nullptr, nullptr);
    } else {
        std::this_thread::yield();
    }
}

void load_a_library() {
    if (void* const library = ::dlopen("libm.so.6", RTLD_NOW | RTLD_LOCAL)) {
        ::dlclose(library);
    }
}

void use_files() {
    if (std::FILE* const file = std::fopen("/dev/null", "w")) {
        std::fputs("text", file);
        std::fflush(nullptr);
        std::fclose(file);
    }
}

class Threads {
public:
    explicit Threads(Busy busy) {
        for (int i = 0; i < 2; ++i) {
            threads_.emplace_back([this, busy] {
                while (!stop_) {
                    busy();
                }
            });
        }
    }

    ~Threads() {
        stop_ = true;
        for (std::thread& thread : threads_) {
            thread.join();
        }
    }

    Threads(const Threads&) = delete;
    Threads& operator=(const Threads&) = delete;

private:
    std::atomic<bool> stop_{false};
    std::vector<std::thread> threads_;
};

mp::Context by_fork() {
    return mp::get_context(mp::StartMethod::fork);
}

int code_of(void (*target)()) {
    mp::Process child = by_fork().Process(target);
    child.start();
    child.join();
    return child.exitcode().value();
}

}  // namespace

TEST_CASE(
    "exit_lock: a forked child takes no lock of the C library at its end",
    "[faults][no-asan][no-tsan]"
) {
    const Busy busy = GENERATE(&register_handlers, &load_a_library, &use_files);
    const int status = test::run_in_fork_for(50s, [&] {
        const Threads threads(busy);
        for (int i = 0; i < 60; ++i) {
            if (code_of([] {}) != 0 || code_of([] { std::exit(7); }) != 7 ||
                code_of([] { throw mp::SystemExit(3); }) != 3) {
                return 1;
            }
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE("exit_lock: pool workers, too", "[faults][no-asan][no-tsan]") {
    const int status = test::run_in_fork_for(50s, [&] {
        const Threads threads(register_handlers);
        for (int i = 0; i < 20; ++i) {
            futures::ProcessPoolExecutor pool(test::on(by_fork(), 2));
            if (pool.submit(test::inc, i).result() != i + 1) {
                return 1;
            }
        }
        return 0;
    });
    CHECK(status == 0);
}

TEST_CASE(
    "exit_lock: a thread starts processes while main returns",
    "[faults][no-asan][no-tsan]"
) {
    for (int round = 0; round < 20; ++round) {
        const int status = test::run_in_fork_for(40s, [] {
            // The orphans of the program below come here, so that each is seen to end.
            ::prctl(PR_SET_CHILD_SUBREAPER, 1);
            test::fork_child([]() -> int {
                static std::atomic<int> started{0};
                std::thread([] {
                    for (;;) {
                        try {
                            mp::Process child = by_fork().Process([] {});
                            child.start();
                            ++started;
                        } catch (...) {
                            return;  // it ends
                        }
                    }
                }).detach();
                while (started < 3) {
                    std::this_thread::yield();
                }
                std::exit(0);
            });
            while (::waitpid(-1, nullptr, 0) > 0 || errno == EINTR) {
            }
            return 0;
        });
        REQUIRE(status == 0);
    }
}
