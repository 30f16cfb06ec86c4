// SPDX-License-Identifier: BSL-1.0
// One function for many inputs; the results come in the order of the inputs.
#include <futures/process_pool.hpp>
#include <iostream>
#include <string>
#include <vector>

std::string backwards(const std::string& word) {
    return {word.rbegin(), word.rend()};
}

int main() {
    const std::vector<std::string> words{"stressed", "drawer", "diaper", "live"};
    futures::ProcessPoolExecutor pool(2);
    for (const std::string& word : pool.map(backwards, words)) {
        std::cout << word << '\n';
    }
}
