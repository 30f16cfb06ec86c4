// SPDX-License-Identifier: BSL-1.0
// Processes that work in rounds, and one that does not come.
#include "mp/mp.hpp"

#include <iostream>
#include <vector>

using namespace std::chrono_literals;

void say_round() {
    std::cout << "all have come" << std::endl;
}

void work(mp::Barrier barrier, int rounds, mp::Semaphore done) {
    for (int i = 0; i < rounds; ++i) {
        barrier.wait();
        done.release();
    }
}

void wait_in_vain(mp::Barrier barrier, mp::Semaphore broken) {
    try {
        barrier.wait();
    } catch (const mp::BrokenBarrierError&) {
        broken.release();
    }
}

// What Python prints for False and True.
const char* text(bool value) {
    return value ? "True" : "False";
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::Barrier barrier({.parties = 3, .action = mp::call(say_round)});
    mp::Semaphore done(0);
    std::vector<mp::Process> workers;
    for (int i = 0; i < 3; ++i) {
        workers.emplace_back(work, barrier, 2, done);
        workers.back().start();
    }
    for (mp::Process& worker : workers) {
        worker.join();
    }
    std::cout << "done: " << done.get_value() << " waiting: " << barrier.n_waiting()
              << std::endl;

    mp::Semaphore broken(0);
    std::vector<mp::Process> waiters;
    for (int i = 0; i < 2; ++i) {
        waiters.emplace_back(wait_in_vain, barrier, broken);
        waiters.back().start();
    }
    try {
        barrier.abort();
        barrier.wait();
    } catch (const mp::BrokenBarrierError&) {
        std::cout << "not all came" << std::endl;
    }
    for (mp::Process& waiter : waiters) {
        waiter.join();
    }
    std::cout << "broken: " << text(barrier.broken()) << " for " << broken.get_value()
              << std::endl;
    barrier.reset();
    std::cout << "broken: " << text(barrier.broken())
              << " parties: " << barrier.parties() << std::endl;
}
