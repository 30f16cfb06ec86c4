// SPDX-License-Identifier: BSL-1.0
// A table that each worker loads once and every call uses.
#include <futures/process_pool.hpp>
#include <iostream>
#include <map>
#include <stdexcept>
#include <string>
#include <vector>

std::map<std::string, int> prices;  // each worker has its own

void load_prices(const std::string& shop) {
    if (shop.empty()) {
        throw std::invalid_argument("a shop without a name");
    }
    prices = {{"apple", 30}, {"pear", 40}};  // from a file, say, or a database
}

int price(const std::string& fruit) {
    return prices.at(fruit);
}

int main() {
    futures::ProcessPoolExecutor pool({.initializer = mp::call(load_prices, "corner")});
    for (const int cents : pool.map(price, {"apple", "pear", "apple"})) {
        std::cout << cents << '\n';
    }

    futures::ProcessPoolExecutor broken({.initializer = mp::call(load_prices, "")});
    try {
        broken.submit(price, "apple").result();
    } catch (const futures::BrokenProcessPool&) {
        std::cout << "the pool is broken\n";
    }
}
