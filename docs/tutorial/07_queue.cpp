// SPDX-License-Identifier: BSL-1.0
// Numbers go to a child by one queue, squares come back by another.
#include <iostream>
#include <mp/process.hpp>
#include <mp/queue.hpp>

void square(mp::Queue<int> numbers, mp::Queue<int> squares) {
    try {
        while (true) {
            const int number = numbers.get();
            squares.put(number * number);
        }
    } catch (const mp::ShutDown&) {
        // The queue is empty, and nothing will be put into it any more.
    }
}

int main() {
    mp::Queue<int> numbers;
    mp::Queue<int> squares;
    mp::Process child(square, numbers, squares);
    child.start();
    for (const int number : {3, 4, 5}) {
        numbers.put(number);
    }
    numbers.shutdown();
    for (int i = 0; i < 3; ++i) {
        std::cout << squares.get() << '\n';
    }
    child.join();
}
