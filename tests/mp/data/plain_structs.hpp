// SPDX-License-Identifier: BSL-1.0
// Structs for the tests: plain ones, and ones that serialise themselves.
#pragma once

#include "mp/serialization.hpp"

#include <array>
#include <chrono>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

namespace test {

struct Point {
    double x = 0;
    double y = 0;

    bool operator==(const Point&) const = default;
};

enum class Colour : unsigned char { red, green };

struct Job {
    int number = 0;
    bool urgent = false;
    Colour colour = Colour::red;
    std::string name;
    std::vector<Point> way;
    std::map<std::string, Point> marks;
    std::optional<Point> goal;
    std::variant<std::monostate, int, Point> either;
    std::tuple<int, std::string> both;
    std::chrono::milliseconds patience{0};

    bool operator==(const Job&) const = default;
};

inline Job some_job() {
    return {
        7,
        true,
        Colour::green,
        "seven",
        {{1, 2}, {3, 4}},
        {{"a", {5, 6}}},
        Point{7, 8},
        Point{9, 10},
        {11, "eleven"},
        std::chrono::milliseconds(12)};
}

struct Arrays {
    int numbers[3] = {};
    std::string names[2];
    char text[8] = {};
    int square[2][2] = {};
    std::array<Point, 100'000> many{};

    bool operator==(const Arrays&) const = default;
};

struct Tree {
    int value = 0;
    std::vector<Tree> children;
    std::map<std::string, Tree> named;

    // Written out, as clang 14 cannot default it around a map of itself.
    friend bool operator==(const Tree& a, const Tree& b) {
        return a.value == b.value && a.children == b.children && a.named == b.named;
    }
};

struct MoveOnly {
    std::unique_ptr<int> number;
    std::unique_ptr<Point> point;
};

struct Empty {
    bool operator==(const Empty&) const = default;
};

struct Final final {
    int number = 0;
    std::string text;

    bool operator==(const Final&) const = default;
};

/// An int and a double, and a gap between them.
struct Padded {
    int number = 0;
    double real = 0;
};

/// A member of that name is no serialize().
struct Named {
    int serialize = 0;
    std::string text;

    bool operator==(const Named&) const = default;
};

/// No default constructor, but a value to begin with.
class Explicit {
public:
    explicit Explicit(int number) : number_(number) {}

    int number() const { return number_; }

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& number_;
    }

private:
    int number_;
};

struct Initialised {
    Explicit first = Explicit(1);
    int second = 2;
    Explicit third = Explicit(3);
};

/// Takes whatever there is.
struct Greedy {
    Greedy() = default;
    template <class T>
    Greedy(T&&) {}  // NOLINT(bugprone-forwarding-reference-overload)

    template <class Archive>
    void serialize(Archive&, unsigned) {}
};

struct WithGreedy {
    Greedy first{};
    int second = 0;
    Greedy third{};
};

// ---- these leave their mark when they are read: a serialize() of their own was called

struct Member {
    int mark = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& mark;
        mark += Archive::is_loading::value ? 100 : 0;
    }
};

class PrivateMember {
public:
    int mark = 0;

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& mark;
        mark += Archive::is_loading::value ? 100 : 0;
    }
};

struct FinalMember final {
    int mark = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& mark;
        mark += Archive::is_loading::value ? 100 : 0;
    }
};

class FinalPrivateMember final {
public:
    int mark = 0;

private:
    friend class boost::serialization::access;

    template <class Archive>
    void serialize(Archive& archive, unsigned) {
        archive& mark;
        mark += Archive::is_loading::value ? 100 : 0;
    }
};

struct SplitMember {
    int mark = 0;

    template <class Archive>
    void save(Archive& archive, unsigned) const {
        archive << mark;
    }

    template <class Archive>
    void load(Archive& archive, unsigned) {
        archive >> mark;
        mark += 100;
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()
};

/// Its members are the base's business, as Boost has it.
struct Inherited : Member {};

struct Versioned {
    int mark = 0;

    template <class Archive>
    void serialize(Archive& archive, unsigned version) {
        archive& mark;
        mark += Archive::is_loading::value && version == 2 ? 100 : 0;
    }
};

struct FreeHere {
    int mark = 0;
};

template <class Archive>
void serialize(Archive& archive, FreeHere& value, unsigned) {
    archive& value.mark;
    value.mark += Archive::is_loading::value ? 100 : 0;
}

struct FreeInBoost {
    int mark = 0;
};

struct SplitFree {
    int mark = 0;
};

struct ByName {
    int mark = 0;
};

inline void serialize(mp::OutArchive& archive, ByName& value, unsigned) {
    archive << value.mark;
}

inline void serialize(mp::InArchive& archive, ByName& value, unsigned) {
    archive >> value.mark;
    value.mark += 100;
}

/// A free function for all classes of a program.
struct Constrained {
    using Marked = void;
    int mark = 0;
};

template <class T>
concept HasMark = requires {
    typename T::Marked;
};

template <class Archive, HasMark T>
void serialize(Archive& archive, T& value, const unsigned) {
    archive& value.mark;
    value.mark += Archive::is_loading::value ? 100 : 0;
}

}  // namespace test

namespace boost::serialization {

template <class Archive>
void serialize(Archive& archive, test::FreeInBoost& value, const unsigned) {
    archive& value.mark;
    value.mark += Archive::is_loading::value ? 100 : 0;
}

template <class Archive>
void save(Archive& archive, const test::SplitFree& value, const unsigned) {
    archive << value.mark;
}

template <class Archive>
void load(Archive& archive, test::SplitFree& value, const unsigned) {
    archive >> value.mark;
    value.mark += 100;
}

}  // namespace boost::serialization

BOOST_SERIALIZATION_SPLIT_FREE(test::SplitFree)
BOOST_CLASS_VERSION(test::Versioned, 2)
