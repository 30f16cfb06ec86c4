// SPDX-License-Identifier: BSL-1.0
// A counter and an array that several processes change.
#include "mp/mp.hpp"

#include <iostream>
#include <mutex>
#include <stdexcept>
#include <vector>

struct Point {
    int x;
    int y;
};

void work(
    mp::Value<int> counter,
    mp::Array<int> squares,
    mp::Value<Point> point,
    int begin,
    int end
) {
    for (int i = begin; i < end; ++i) {
        squares[i] = i * i;
        const std::scoped_lock held(counter.get_lock());
        counter.set(counter.get() + 1);
    }
    point.apply([&](Point& p) {
        p.x += begin;
        p.y += end;
    });
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    const mp::Value<int> counter(0);
    const mp::Array<int> squares(10);
    const mp::Value<Point> point(1, 2);
    std::vector<mp::Process> processes;
    for (const int begin : {0, 5}) {
        processes.emplace_back(work, counter, squares, point, begin, begin + 5);
    }
    for (mp::Process& p : processes) {
        p.start();
    }
    for (mp::Process& p : processes) {
        p.join();
    }
    std::cout << counter.get() << ' ' << point.get().x << ' ' << point.get().y
              << std::endl;
    const char* gap = "";
    for (const int square : squares.slice(0, squares.size())) {
        std::cout << gap << square;
        gap = " ";
    }
    std::cout << std::endl;
    std::cout << squares[-1] << ' ' << squares.size() << std::endl;

    const mp::RawArray<double> raw({1.5, 2.5});
    raw[0] += 1;
    std::cout << raw[0] << ' ' << raw[1] << std::endl;
    try {
        squares[10] = 0;
    } catch (const std::out_of_range&) {
        std::cout << "no such element" << std::endl;
    }
}
