// SPDX-License-Identifier: BSL-1.0
// What the tests of calls call: functions, objects, and what cannot be read.
#pragma once

#include <stdexcept>
#include <string>

namespace test::targets {

inline int add(int a, int b) {
    return a + b;
}

inline void nothing() {}

inline const std::string& same(const std::string& text) {
    return text;
}

inline const char* literal_of(int) {
    return "text";
}

struct Left {
    int left = 1;
};

struct Counter : Left {
    int start = 10;

    Counter() = default;

    explicit Counter(int from) : start(from) {}

    int plus(int n) const { return start + n; }

    int next() & { return ++start; }

    int last() && { return start; }

    static int zero() { return 0; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& start;
    }
};

struct Adder {
    int amount = 0;

    int operator()(int x) const { return x + amount; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& amount;
    }
};

struct Unreadable {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::domain_error("unreadable");
    }
};

inline Unreadable unreadable() {
    return {};
}

inline int fail() {
    throw std::domain_error("failed");
}

}  // namespace test::targets
