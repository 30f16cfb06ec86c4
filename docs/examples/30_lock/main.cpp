// SPDX-License-Identifier: BSL-1.0
// Two processes and one resource: Lock, RLock, Semaphore, Event.
#include "mp/mp.hpp"

#include <iostream>
#include <mutex>
#include <stdexcept>
#include <vector>

using namespace std::chrono_literals;

void transfer(mp::Lock lock, mp::Event start, mp::Connection writer, int count) {
    start.wait();
    for (int i = 0; i < count; ++i) {
        const std::scoped_lock held(lock);
        // Two messages that nobody else's comes between.
        writer.send(i);
        writer.send(-i);
    }
}

void use_seat(mp::BoundedSemaphore seats, mp::Semaphore used) {
    const std::unique_lock held(seats);
    used.release();
}

// What Python prints for False and True.
const char* text(const mp::AcquireResult& got) {
    return got ? "True" : "False";
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::Lock lock;
    mp::Event start;
    auto [reader, writer] = mp::Pipe({.duplex = false});
    std::vector<mp::Process> children;
    for (int i = 0; i < 2; ++i) {
        children.emplace_back(transfer, lock, start, writer, 100);
        children.back().start();
    }
    start.set();
    int pairs = 0;
    for (int i = 0; i < 200; ++i) {
        const int first = reader.recv<int>();
        pairs += first == -reader.recv<int>() ? 1 : 0;
    }
    for (mp::Process& child : children) {
        child.join();
    }
    std::cout << "pairs: " << pairs << std::endl;

    const auto first = lock.acquire();
    std::cout << text(first) << ' ' << text(lock.acquire(100ms)) << std::endl;
    lock.release();
    try {
        lock.release();
    } catch (const std::invalid_argument&) {
        std::cout << "released too often" << std::endl;
    }

    mp::RLock rlock;
    {
        const std::scoped_lock once(rlock);
        const std::scoped_lock twice(rlock);
        std::cout << "taken twice" << std::endl;
    }

    mp::BoundedSemaphore seats(2);
    mp::Semaphore used(0);
    std::vector<mp::Process> users;
    for (int i = 0; i < 4; ++i) {
        users.emplace_back(use_seat, seats, used);
        users.back().start();
    }
    for (mp::Process& user : users) {
        user.join();
    }
    std::cout << "used: " << used.get_value() << " free: " << seats.get_value()
              << std::endl;
}
