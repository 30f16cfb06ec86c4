// SPDX-License-Identifier: BSL-1.0
// What a process does that writes where it should not: into the memory that it shares
// with others, some words of it or all, with any values. What it does comes from a
// seed.
#pragma once

#include <sys/mman.h>

#include <algorithm>
#include <cerrno>
#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <span>
#include <string>
#include <system_error>
#include <vector>

namespace test {

using Words = std::span<volatile std::uint64_t>;

/// The mappings of this process whose name has `name` in it, as in "memfd:mp-queue".
inline std::vector<Words> shared_words(const std::string& name) {
    std::vector<Words> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        unsigned long begin = 0;
        unsigned long end = 0;
        if (line.find("memfd:" + name) != std::string::npos &&
            std::sscanf(line.c_str(), "%lx-%lx rw-s", &begin, &end) == 2) {
            found.emplace_back(
                reinterpret_cast<volatile std::uint64_t*>(begin), (end - begin) / 8
            );
        }
    }
    return found;
}

/// Those in pages that exist: a look at another page would make it.
inline std::vector<std::size_t> touched_words(Words words) {
    constexpr std::size_t page = 4096;
    constexpr std::size_t words_in_page = page / sizeof words[0];
    std::vector<unsigned char> pages((words.size_bytes() + page - 1) / page);
    if (::mincore(
            const_cast<std::uint64_t*>(words.data()), words.size_bytes(), pages.data()
        ) != 0) {
        throw std::system_error(errno, std::generic_category(), "mincore");
    }
    std::vector<std::size_t> touched;
    for (std::size_t i = 0; i < words.size(); ++i) {
        if ((pages[i / words_in_page] & 1U) == 0) {
            i += words_in_page - 1;
        } else {
            touched.push_back(i);
        }
    }
    return touched;
}

/// Where the memory was touched, only: all of that, or words that are not zero, and
/// some around them.
inline void scribble(Words words, std::mt19937_64& random) {
    const auto value = [&]() -> std::uint64_t {
        switch (random() % 5) {
        case 0:
            return 0;
        case 1:
            return ~std::uint64_t{0};
        case 2:
            return random() % 100;
        case 3:
            return std::uint64_t{1} << random() % 64;
        default:
            return random();
        }
    };
    if (random() % 4 == 0) {
        const std::uint64_t all = value();
        const bool varied = random() % 2 == 0;
        for (const std::size_t i : touched_words(words)) {
            words[i] = varied ? random() : all;
        }
        return;
    }
    std::vector<std::size_t> used = touched_words(words);
    std::erase_if(used, [&](std::size_t i) { return words[i] == 0; });
    if (used.empty()) {
        used.push_back(0);
    }
    const std::size_t count = random() % 3 == 0 ? 1 : 1 + random() % 50;
    for (std::size_t i = 0; i < count; ++i) {
        const std::size_t at = used[random() % used.size()] + random() % 3;
        volatile std::uint64_t& word = words[std::min(at, words.size() - 1)];
        switch (random() % 3) {
        case 0:
            word = word + 1 - 2 * (random() % 2);
            break;
        case 1:
            word = word ^ std::uint64_t{1} << random() % 64;
            break;
        default:
            word = value();
        }
    }
}

/// `usual`, or what MP_TEST_SEEDS says.
inline int scribble_seeds(int usual) {
    const char* const text = std::getenv("MP_TEST_SEEDS");
    return text == nullptr ? usual : std::atoi(text);
}

/// In each mapping of that name.
inline void scribble_over(const std::string& name, std::uint64_t seed) {
    std::mt19937_64 random(seed * 0x9e3779b97f4a7c15ULL + 1);
    for (const Words words : shared_words(name)) {
        scribble(words, random);
    }
}

}  // namespace test
