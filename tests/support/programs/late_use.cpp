// SPDX-License-Identifier: BSL-1.0
// A program whose executors, queue and lock are static objects, and are used while the
// program ends: by an exit handler, by a static object that is destroyed before them
// and one that is destroyed after them, by thread_local objects. A line for each use:
// what it gave, or "StateError". "late_use METHOD".
#include "futures/process_pool.hpp"
#include "futures/thread_pool.hpp"
#include "mp/mp.hpp"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <optional>
#include <thread>

using namespace std::chrono_literals;

namespace {

const pid_t program = getpid();
mp::StartMethod method{};
bool in_main = false;

template <class Use>
void say(const char* when, const char* what, Use use) {
    try {
        std::printf("%s: %s: %d\n", when, what, use());
    } catch (const mp::StateError&) {
        std::printf("%s: %s: StateError\n", when, what);
    } catch (const std::exception& error) {
        std::printf("%s: %s: WRONG: %s\n", when, what, error.what());
    }
    std::fflush(stdout);
}

int one() {
    return 1;
}

int run_process() {
    mp::Process process = mp::Context(method).Process([] { throw mp::SystemExit(1); });
    process.start();
    process.join();
    return process.exitcode().value_or(-1);
}

void use_all(const char* when);
void use_new_ones(const char* when);

struct Late {
    Late(const char* when, void (*use)(const char*)) : when_(when), use_(use) {}

    Late(const Late&) = delete;
    Late& operator=(const Late&) = delete;

    ~Late() {
        if (in_main && getpid() == program) {
            use_(when_);
        }
    }

    void touch() {}

private:
    const char* when_;
    void (*use_)(const char*);
};

Late older("after the pools", use_new_ones);
std::optional<futures::ProcessPoolExecutor> pool;
futures::ThreadPoolExecutor threads(2);
mp::Queue<int> queue;
mp::Lock lock;
Late younger("before the pools", use_all);

void put_one(mp::Queue<int> to, mp::Lock guard) {
    guard.acquire();
    to.put(1);
    guard.release();
}

void use_all(const char* when) {
    say(when, "threads", [] { return threads.submit(one).result(); });
    say(when, "pool", [] { return pool ? pool->submit(one).result() : 1; });
    say(when, "process", run_process);
    say(when, "queue", [] {
        queue.put(1);
        return queue.get(20s);
    });
    say(when, "lock", [] {
        lock.acquire();
        lock.release();
        return 1;
    });
}

/// When the static ones are gone.
void use_new_ones(const char* when) {
    say(when, "threads", [] {
        return futures::ThreadPoolExecutor(1).submit(one).result();
    });
    say(when, "pool", [] {
        return futures::ProcessPoolExecutor(1).submit(one).result();
    });
    say(when, "process", run_process);
    say(when, "queue", [] {
        mp::Queue<int> fresh;
        fresh.put(1);
        return fresh.get(20s);
    });
    say(when, "lock", [] {
        mp::Lock fresh;
        fresh.acquire();
        fresh.release();
        return 1;
    });
}

thread_local Late of_thread("thread_local", use_all);

}  // namespace

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    if (argc < 2) {
        return 2;
    }
    mp::set_fork_warning(false);  // that is not what is tried here
    method = mp::start_method_from(argv[1]);
    mp::set_start_method(method, {.force = true});
    pool.emplace(2);
    in_main = true;
    of_thread.touch();
    std::atexit([] { use_all("exit handler"); });
    say("main", "pool", [] { return pool->submit(one).result(); });
    say("main", "threads", [] { return threads.submit(one).result(); });
    mp::Process process(put_one, queue, lock);
    process.start();
    process.join();
    say("main", "process", [] { return queue.get(20s); });
    std::thread([] { of_thread.touch(); }).join();
    for (int i = 0; i < 50; ++i) {
        pool->submit(one);
    }
}
