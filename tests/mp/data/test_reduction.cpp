// SPDX-License-Identifier: BSL-1.0
// dumps() and loads(): types that travel, and bytes that are damaged.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "support/catch.hpp"

#include <boost/serialization/access.hpp>
#include <boost/serialization/array_wrapper.hpp>
#include <boost/serialization/binary_object.hpp>
#include <boost/serialization/nvp.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/serialization/version.hpp>

#include <array>
#include <bitset>
#include <chrono>
#include <complex>
#include <cstdint>
#include <deque>
#include <list>
#include <map>
#include <memory>
#include <optional>
#include <random>
#include <set>
#include <stdexcept>
#include <string>
#include <tuple>
#include <unordered_map>
#include <unordered_set>
#include <variant>
#include <vector>

namespace {

enum class Colour : std::uint8_t { red, green };

struct Person {
    int age = 0;
    double height = 0;
    std::string name;
    std::map<std::string, int> marks;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& age& height& name& marks;
    }

    bool operator==(const Person&) const = default;
};

class Hidden {
public:
    Hidden() = default;

    explicit Hidden(int x) : x_(x) {}

    bool operator==(const Hidden&) const = default;

private:
    friend class boost::serialization::access;

    template <class Archive>
    void save(Archive& ar, unsigned) const {
        const int twice = x_ * 2;
        ar << twice;
    }

    template <class Archive>
    void load(Archive& ar, unsigned) {
        int twice = 0;
        ar >> twice;
        x_ = twice / 2;
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()

    int x_ = 0;
};

struct Free {
    int x = 0;

    bool operator==(const Free&) const = default;
};

template <class Archive>
void serialize(Archive& ar, Free& value, unsigned) {
    ar& boost::serialization::make_nvp("x", value.x);
}

struct Versioned {
    int a = 0;
    int b = 7;
    unsigned seen = 99;

    template <class Archive>
    void serialize(Archive& ar, unsigned version) {
        seen = version;
        ar& BOOST_SERIALIZATION_NVP(a);
        if (version >= 2) {
            ar& BOOST_SERIALIZATION_NVP(b);
        }
    }
};

struct Empty {
    template <class Archive>
    void serialize(Archive&, unsigned) {}

    bool operator==(const Empty&) const = default;
};

struct Raw {
    std::array<int, 4> values{};
    int more[3] = {};
    char text[8] = {};

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::make_array(values.data(), values.size());
        ar& more;
        ar& boost::serialization::make_binary_object(text, sizeof(text));
    }
};

struct Tree {
    int value = 0;
    std::vector<Tree> children;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& children;
    }

    bool operator==(const Tree&) const = default;
};

struct Thrower {
    template <class Archive>
    void serialize(Archive&, unsigned) {
        throw std::out_of_range("mine");
    }
};

struct Big {
    char padding[4096] = {};
    int x = 0;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& x;
    }
};

struct Block {
    float x = 0;
    float y = 0;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& x& y;
    }

    bool operator==(const Block&) const = default;
};

template <class T>
T there_and_back(const T& value) {
    return mp::loads<T>(mp::dumps(value));
}

template <class T>
void travels(const T& value) {
    INFO(mp::detail::type_name<T>());
    const auto bytes = mp::dumps(value);
    CHECK(mp::loads<T>(bytes) == value);
    // A message that was cut is refused, wherever that happened.
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::vector<std::byte> cut(
            bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)
        );
        CHECK_THROWS_AS(mp::loads<T>(cut), mp::SerializationError);
    }
    // So is one with more behind it.
    auto longer = bytes;
    longer.push_back(std::byte{0});
    CHECK_THROWS_AS(mp::loads<T>(longer), mp::SerializationError);
}

template <class T>
void refuses_lengths() {
    INFO(mp::detail::type_name<T>());
    for (const std::uint64_t length :
         {~std::uint64_t{0},
          std::uint64_t{1} << 62,
          std::uint64_t{1} << 40,
          std::uint64_t{1} << 33,
          std::uint64_t{1'000'000},
          std::uint64_t{100}}) {
        mp::detail::ByteWriter out;
        if constexpr (mp::detail::may_be_pointed_at<T>) {
            out.put_value(std::uint8_t{0});
        }
        out.put_value(length);
        out.put(std::string(64, '\0').data(), 64);
        CHECK_THROWS_AS(mp::loads<T>(out.data()), mp::SerializationError);
    }
}

template <class T, class Body>
void fails_with(const std::string& part, Body body) {
    try {
        body();
        FAIL("nothing thrown");
    } catch (const T& error) {
        INFO(error.what());
        CHECK(std::string(error.what()).find(part) != std::string::npos);
    }
}

}  // namespace

BOOST_CLASS_VERSION(Versioned, 3)
BOOST_IS_BITWISE_SERIALIZABLE(Block)

TEST_CASE("dumps and loads: numbers and texts travel") {
    travels(42);
    travels(-1.5);
    travels(1.5L);
    travels('x');
    travels(true);
    travels(Colour::green);
    travels(std::byte{7});
    travels(std::string(64, 'x'));
    travels(std::string());
    travels(std::wstring(L"wide \u00e4"));
    travels(std::u8string(u8"\u00e4"));
    travels(std::u32string(U"\u00e4"));
    travels(std::complex<double>(1, -2));
    travels(std::chrono::milliseconds(5));
    travels(std::chrono::duration<double>(0.25));
    travels(std::chrono::system_clock::time_point(std::chrono::seconds(9)));
}

TEST_CASE("dumps and loads: standard containers travel") {
    travels(std::vector<double>(40, 1.5));
    travels(std::vector<int>());
    travels(std::vector<bool>{true, false, true});
    travels(std::vector<std::string>{"a", "", "ccc"});
    travels(std::vector<std::vector<int>>{{1, 2}, {}, {3}});
    travels(std::vector<std::array<double, 3>>(4));
    travels(std::array<int, 4>{1, 2, 3, 4});
    travels(std::array<std::string, 2>{"a", "b"});
    travels(std::array<int, 0>());
    travels(std::vector<std::array<int, 0>>(3));
    travels(std::deque<int>{1, 2});
    travels(std::deque<bool>{true, false});
    travels(std::list<std::pair<int, std::string>>{{1, "a"}});
    travels(std::set<int>{3, 1, 2});
    travels(std::multiset<int>{3, 3, 2});
    travels(std::unordered_set<std::string>{"a", "b"});
    travels(std::map<std::string, std::vector<int>>{{"a", {1, 2}}, {"b", {}}});
    travels(std::multimap<int, int>{{1, 2}, {1, 3}});
    travels(std::unordered_map<std::string, int>{{"q", 1}, {"w", 2}});
    travels(std::unordered_multimap<int, int>{{1, 1}, {1, 1}});
    travels(std::optional<std::string>("z"));
    travels(std::optional<int>());
    travels(std::tuple<int, std::string, double>(1, "a", 2));
    travels(std::tuple<>());
    travels(std::variant<std::monostate, int, std::string>("text"));
    travels(std::variant<std::monostate, int, std::string>());
}

TEST_CASE("dumps and loads: classes travel by their serialize()") {
    travels(Person{30, 1.8, "x", {{"k", 1}, {"l", 2}}});
    travels(std::vector<Person>(3, Person{1, 2, "y", {}}));
    travels(Hidden(21));
    travels(Free{4});
    travels(Empty{});
    travels(std::vector<Empty>(100));
    travels(std::vector<Block>(20, Block{1, 2}));
    travels(Tree{1, {Tree{2, {}}, Tree{3, {Tree{4, {}}}}}});
}

TEST_CASE("dumps and loads: Boost's wrappers work in a serialize()") {
    Raw raw;
    raw.values = {1, 2, 3, 4};
    raw.more[2] = 5;
    raw.text[0] = 'x';
    const Raw back = there_and_back(raw);
    CHECK(back.values == raw.values);
    CHECK(back.more[2] == 5);
    CHECK(back.text[0] == 'x');
}

TEST_CASE("dumps and loads: a big block travels whole") {
    std::vector<double> block(131'072);
    for (std::size_t i = 0; i < block.size(); ++i) {
        block[i] = static_cast<double>(i);
    }
    CHECK(there_and_back(block) == block);
}

TEST_CASE("dumps and loads: a unique_ptr to a number or a text travels") {
    CHECK(*there_and_back(std::make_unique<int>(3)) == 3);
    CHECK(*there_and_back(std::make_unique<std::string>("x")) == "x");
    CHECK(there_and_back(std::unique_ptr<double>()) == nullptr);
}

TEST_CASE("dumps and loads: a lambda without captures travels as nothing") {
    const auto next = [](int x) {
        return x + 1;
    };
    CHECK(there_and_back(next)(1) == 2);
}

TEST_CASE("dumps and loads: a class's version travels, newer ones are refused") {
    Versioned value;
    value.a = 5;
    value.b = 6;
    auto bytes = mp::dumps(value);
    auto back = mp::loads<Versioned>(bytes);
    CHECK(back.a == 5);
    CHECK(back.b == 6);
    CHECK(back.seen == 3);

    mp::detail::ByteWriter old;
    old.put_value(std::uint8_t{0});
    old.put_value(1U);
    old.put_value(9);
    back = mp::loads<Versioned>(old.data());
    CHECK(back.a == 9);
    CHECK(back.b == 7);
    CHECK(back.seen == 1);

    bytes[1] = std::byte{4};
    fails_with<mp::SerializationError>("version 4, this program knows up to 3", [&] {
        mp::loads<Versioned>(bytes);
    });
}

TEST_CASE("loads: errors name the type and what is wrong") {
    fails_with<mp::SerializationError>("cannot decode int: the message ends", [] {
        mp::loads<int>({});
    });
    const auto bytes = mp::dumps(std::int64_t{1});
    fails_with<mp::SerializationError>("4 bytes are left over", [&] {
        mp::loads<int>(bytes);
    });
    const std::byte two[] = {std::byte{2}};
    fails_with<mp::SerializationError>("neither 0 nor 1", [&] {
        mp::loads<bool>(two);
    });
    mp::detail::ByteWriter out;
    out.put_value(std::uint8_t{0});
    out.put_value(std::uint32_t{2});
    fails_with<mp::SerializationError>("no alternative", [&] {
        mp::loads<std::variant<int, char>>(out.data());
    });
}

TEST_CASE("dumps: what a serialize() throws passes unchanged") {
    CHECK_THROWS_AS(mp::dumps(Thrower{}), std::out_of_range);
    CHECK_THROWS_AS(mp::dumps(std::vector<Thrower>(1)), std::out_of_range);
    const std::byte zero[] = {std::byte{0}};
    CHECK_THROWS_AS(mp::loads<Thrower>(zero), std::out_of_range);
}

TEST_CASE("loads: hostile lengths are refused, nothing is allocated for them") {
    refuses_lengths<std::string>();
    refuses_lengths<std::wstring>();
    refuses_lengths<std::vector<double>>();
    refuses_lengths<std::vector<bool>>();
    refuses_lengths<std::vector<std::string>>();
    refuses_lengths<std::vector<Big>>();
    refuses_lengths<std::vector<Empty>>();
    refuses_lengths<std::vector<Block>>();
    refuses_lengths<std::deque<int>>();
    refuses_lengths<std::list<int>>();
    refuses_lengths<std::set<int>>();
    refuses_lengths<std::unordered_set<int>>();
    refuses_lengths<std::map<int, int>>();
    refuses_lengths<std::unordered_map<int, int>>();
    refuses_lengths<std::multimap<int, std::string>>();
}

TEST_CASE("dumps and loads: values nested too deeply are an error on both sides") {
    Tree root;
    Tree* last = &root;
    for (int i = 0; i < 20'000; ++i) {
        last = &last->children.emplace_back();
    }
    CHECK_THROWS_AS(mp::dumps(root), mp::SerializationError);
    // Taken apart by hand: its destructor would recurse too.
    while (!root.children.empty()) {
        auto below = std::move(root.children[0].children);
        root.children = std::move(below);
    }

    mp::detail::ByteWriter out;
    for (int i = 0; i < 1'000'000; ++i) {
        out.put_value(std::uint8_t{0});   // a Tree follows
        out.put_value(std::int32_t{1});   // value
        out.put_value(std::uint8_t{0});   // a vector follows
        out.put_value(std::uint64_t{1});  // of one element
    }
    CHECK_THROWS_AS(mp::loads<Tree>(out.data()), mp::SerializationError);
}

TEST_CASE("loads: 200000 damaged messages are decoded or refused", "[slow]") {
    const auto seed = std::random_device()();
    INFO("seed " << seed);
    std::mt19937 random(seed);
    using Value =
        std::tuple<std::vector<Person>, std::optional<Tree>, std::variant<int, Hidden>>;
    const Person person{1, 2, std::string(40, 'y'), {{"k", 1}, {"l", 2}}};
    const auto good = mp::dumps(Value(std::vector<Person>(5, person), Tree{1, {}}, 3));
    int decoded = 0;
    for (int i = 0; i < 200'000; ++i) {
        auto bytes = good;
        for (auto hits = 1 + random() % 4; hits > 0; --hits) {
            bytes[random() % bytes.size()] = static_cast<std::byte>(random());
        }
        if (random() % 3 == 0) {
            bytes.resize(random() % bytes.size());
        }
        try {
            mp::loads<Value>(bytes);
            ++decoded;
        } catch (const mp::SerializationError&) {
            // As it should.
        }
    }
    CHECK(decoded > 0);
    CHECK(decoded < 200'000);
}
