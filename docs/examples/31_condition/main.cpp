// SPDX-License-Identifier: BSL-1.0
// A producer and its consumers meet at a condition.
#include "mp/mp.hpp"

#include <iostream>
#include <mutex>
#include <vector>

using namespace std::chrono_literals;

void consume(mp::Condition cond, mp::Semaphore stock, mp::Semaphore eaten) {
    for (int i = 0; i < 5; ++i) {
        const std::scoped_lock held(cond);
        cond.wait_for([&] { return stock.get_value() > 0; });
        stock.acquire();
        eaten.release();
    }
}

// What Python prints for False and True.
const char* text(bool value) {
    return value ? "True" : "False";
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::Condition cond;
    mp::Semaphore stock(0);
    mp::Semaphore eaten(0);
    std::vector<mp::Process> consumers;
    for (int i = 0; i < 3; ++i) {
        consumers.emplace_back(consume, cond, stock, eaten);
        consumers.back().start();
    }
    for (int i = 0; i < 15; ++i) {
        const std::scoped_lock held(cond);
        stock.release();
        cond.notify();
    }
    for (mp::Process& consumer : consumers) {
        consumer.join();
    }
    std::cout << "eaten: " << eaten.get_value() << " left: " << stock.get_value()
              << std::endl;

    {
        const std::scoped_lock held(cond);
        std::cout << "somebody came: " << text(cond.wait(100ms)) << std::endl;
        std::cout << "in time: " << text(cond.wait_for([] { return false; }, 100ms))
                  << std::endl;
    }
    try {
        cond.notify();
    } catch (const mp::StateError&) {
        std::cout << "notify() needs the lock" << std::endl;
    }
}
