// SPDX-License-Identifier: BSL-1.0
// Waits for whichever comes first: messages of several children, or their ends.
#include "mp/mp.hpp"

#include <chrono>
#include <iostream>
#include <vector>

using namespace std::chrono_literals;
using mp::connection::wait;

void count(mp::Connection writer, int start) {
    for (int i = start; i < start + 3; ++i) {
        writer.send(i);
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);
    mp::set_start_method("spawn");

    std::cout << "nothing to watch: [" << (wait({}, 10ms).empty() ? "]" : "?") << "\n";
    auto [idle, other] = mp::Pipe();
    std::cout << "nothing comes: [" << (wait({idle}, 10ms).empty() ? "]" : "?") << "\n";
    other.send("hello");
    std::cout << "ready: " << wait({idle, other}, 5s).size() << std::endl;

    std::vector<mp::Connection> readers;
    std::vector<mp::Process> children;
    for (const int start : {10, 20, 30}) {
        auto [reader, writer] = mp::Pipe({.duplex = false});
        children.emplace_back(count, writer, start);
        children.back().start();
        writer.close();
        readers.push_back(reader);
    }
    int total = 0;
    while (!readers.empty()) {
        // Positions come in order: from the back, what is removed moves no other.
        const auto ready = wait(readers);
        for (auto i = ready.rbegin(); i != ready.rend(); ++i) {
            try {
                total += readers[*i].recv<int>();
            } catch (const mp::EOFError&) {
                readers.erase(readers.begin() + static_cast<std::ptrdiff_t>(*i));
            }
        }
    }
    std::cout << "total: " << total << std::endl;

    std::vector<int> sentinels;
    for (const mp::Process& child : children) {
        sentinels.push_back(child.sentinel());
    }
    while (!sentinels.empty()) {
        const auto ended = wait(sentinels);
        for (auto i = ended.rbegin(); i != ended.rend(); ++i) {
            sentinels.erase(sentinels.begin() + static_cast<std::ptrdiff_t>(*i));
        }
    }
    for (mp::Process& child : children) {
        child.join();  // Python's sentinels are ready a moment before the exit code is
    }
    std::cout << "exit codes:";
    for (mp::Process& child : children) {
        std::cout << ' ' << child.exitcode().value();
    }
    std::cout << std::endl;
}
