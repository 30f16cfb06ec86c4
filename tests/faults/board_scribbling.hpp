// SPDX-License-Identifier: BSL-1.0
// What tests share in which a process writes where it should not: where memory is
// mapped, and a Scribbler.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <fstream>
#include <random>
#include <span>
#include <stdexcept>
#include <string>
#include <vector>

namespace test {

/// Where the anonymous segments of that name are mapped in this process, for writing.
inline std::vector<std::span<std::byte>> mappings_of(const std::string& name) {
    std::vector<std::span<std::byte>> found;
    std::ifstream maps("/proc/self/maps");
    for (std::string line; std::getline(maps, line);) {
        if (line.find("/memfd:" + name + " ") == std::string::npos ||
            line.find(" rw") == std::string::npos) {
            continue;
        }
        std::size_t dash = 0;
        const std::uint64_t begin = std::stoull(line, &dash, 16);
        const std::uint64_t end = std::stoull(line.substr(dash + 1), nullptr, 16);
        found.emplace_back(reinterpret_cast<std::byte*>(begin), end - begin);
    }
    if (found.empty()) {
        throw std::runtime_error("no mapping is called " + name);
    }
    return found;
}

/// Writes over some memory, the same for the same seed.
class Scribbler {
public:
    Scribbler(std::span<std::byte> place, unsigned seed)
        : place_(place), random_(seed) {}

    /// Over so many words, anywhere: with any value, with a small one, with a bit more
    /// or less.
    void words(int count) {
        for (int i = 0; i < count; ++i) {
            std::byte* const at = place_.data() + random_() % (place_.size() / 8) * 8;
            std::uint64_t word = 0;
            std::memcpy(&word, at, sizeof word);
            switch (random_() % 3) {
            case 0:
                word = random_();
                break;
            case 1:
                word = random_() % 8;
                break;
            default:
                word ^= std::uint64_t{1} << random_() % 64;
            }
            std::memcpy(at, &word, sizeof word);
        }
    }

    void fill(int value) { std::memset(place_.data(), value, place_.size()); }

    void noise() {
        for (std::size_t at = 0; at + 8 <= place_.size(); at += 8) {
            const std::uint64_t word = random_();
            std::memcpy(place_.data() + at, &word, sizeof word);
        }
    }

private:
    std::span<std::byte> place_;
    std::mt19937_64 random_;
};

/// How many seeds: MP_TEST_SEEDS says, or `usual`.
inline unsigned scribble_seeds(unsigned usual) {
    const char* const said = std::getenv("MP_TEST_SEEDS");
    return said == nullptr ? usual : static_cast<unsigned>(std::stoul(said));
}

}  // namespace test
