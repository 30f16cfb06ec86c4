// SPDX-License-Identifier: BSL-1.0
// A word count that children add to: a map in shared memory, used in place.
#include "mp/mp.hpp"
#include "mp/shared_heap.hpp"

#include <iostream>
#include <sstream>
#include <string>

using Words = mp::SharedHeap::Map<mp::SharedHeap::String, int>;

void count(mp::SharedHeap heap, const std::string& text) {
    Words& words = *heap.find<Words>("words");
    std::istringstream stream(text);
    for (std::string word; stream >> word;) {
        ++words[mp::SharedHeap::String(word.c_str(), heap.allocator<char>())];
    }
}

int main(int argc, char** argv) {
    mp::freeze_support(argc, argv);

    mp::SharedHeap heap({.create = true, .size = 1 << 20});
    const Words& words = heap.construct<Words>("words", heap.allocator<char>());
    for (const char* text : {"one two three two", "three two three"}) {
        mp::Process p(count, heap, text);  // one at a time, so it needs no lock
        p.start();
        p.join();
    }
    for (const auto& [word, number] : words) {
        std::cout << word << ' ' << number << std::endl;
    }
    heap.shm().unlink();
}
