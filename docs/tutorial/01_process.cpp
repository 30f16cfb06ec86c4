// SPDX-License-Identifier: BSL-1.0
// A function runs in a process of its own.
#include <iostream>
#include <mp/process.hpp>
#include <string>

void greet(const std::string& name) {
    std::cout << "Hello, " << name << '\n';
}

int main() {
    mp::Process child(greet, "Ada");
    child.start();
    child.join();
    std::cout << "The child ended with exit code " << *child.exitcode() << '\n';
}
