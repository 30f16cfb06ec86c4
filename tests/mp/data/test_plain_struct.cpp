// SPDX-License-Identifier: BSL-1.0
// Plain structs travel as they stand; a serialize() of a class's own always wins.
#include "mp/detail/plain_struct.hpp"
#include "mp/errors.hpp"
#include "mp/reduction.hpp"

#include "plain_structs.hpp"
#include "support/catch.hpp"

#include <cstring>

using namespace test;
using mp::Archivable;
using mp::detail::is_bitwise;
using mp::detail::Kind;
using mp::detail::kind_of;
using mp::detail::Obstacle;
using mp::detail::Parts;

namespace {

struct Hidden {
    int number = 0;
    std::string text;
};

struct WithPointer {
    int* number = nullptr;
};

struct WithClassPointer {
    int number = 0;
    Point* point = nullptr;
};

struct WithView {
    std::string_view text;
};

struct Deep {
    std::vector<std::map<int, WithPointer>> inside;
};

struct OddPointer {
    int number = 0;
};

struct WithOddPointer {
    OddPointer* odd = nullptr;
};

struct Derived : Point {
    int more = 0;
};

struct DerivedFromEmpty : Empty {
    int more = 0;
};

struct NamelessUnion {
    int which = 0;
    union {
        int number;
        float real;
    };
};

union Either {
    int number;
    float real;
};

struct NamedUnion {
    std::string text;
    Either either{1};
};

int global = 0;

struct WithReference {
    int number = 0;
    int& other = global;
};

struct BitFields {
    unsigned low : 3;
    unsigned high : 5;
    int whole;
};

struct NotDefault {
    Explicit inner;
    int number;
};

struct Virtual {
    int number = 0;
    virtual ~Virtual() = default;
};

#define TEN(x)                                                                         \
    int x##0 = 0, x##1 = 0, x##2 = 0, x##3 = 0, x##4 = 0, x##5 = 0, x##6 = 0,          \
        x##7 = 0, x##8 = 0, x##9 = 0;

struct Hundred {
    TEN(a)
    TEN(b)
    TEN(c)
    TEN(d)
    TEN(e)
    TEN(f)
    TEN(g)
    TEN(h)
    TEN(i)
    TEN(j)

    bool operator==(const Hundred&) const = default;
};

struct HundredAndOne {
    TEN(a)
    TEN(b)
    TEN(c)
    TEN(d)
    TEN(e)
    TEN(f)
    TEN(g)
    TEN(h)
    TEN(i)
    TEN(j)
    int more = 0;
};

#undef TEN

template <class T>
T there_and_back(const T& value) {
    return mp::loads<T>(mp::dumps(value));
}

template <class T>
void keeps_its_own() {
    CHECK(kind_of<T>() == Kind::object);
    T value;
    value.mark = 1;
    CHECK(there_and_back(value).mark == 101);
    CHECK(there_and_back(std::vector<T>(3, value))[2].mark == 101);
}

/// Also in Boost's archive, behind a pointer.
template <class T>
void keeps_its_own_everywhere() {
    keeps_its_own<T>();
    const auto pointer = std::make_shared<T>();
    pointer->mark = 1;
    CHECK(there_and_back(pointer)->mark == 101);
}

}  // namespace

template <>
inline constexpr bool mp::is_archivable<OddPointer*> = true;

TEST_CASE("plain struct: it travels as it stands, nested and in containers") {
    const Job job = some_job();
    STATIC_REQUIRE(kind_of<Job>() == Kind::plain_struct);
    STATIC_REQUIRE(Archivable<Job>);
    CHECK(there_and_back(job) == job);
    CHECK(there_and_back(std::vector<Job>{job, {}})[0] == job);
    CHECK(there_and_back(std::map<int, Job>{{1, job}}).at(1) == job);
    CHECK(there_and_back(std::pair(1, job)).second == job);
}

TEST_CASE("plain struct: it travels behind pointers, and is one object if it was") {
    const auto job = std::make_shared<Job>(some_job());
    const auto back = there_and_back(std::vector<std::shared_ptr<Job>>{job, job});
    CHECK(*back[0] == *job);
    CHECK(back[0] == back[1]);
}

TEST_CASE("plain struct: arrays, of any size") {
    STATIC_REQUIRE(Parts<Arrays>::count == 5);
    auto arrays = std::make_unique<Arrays>();
    arrays->numbers[2] = 1;
    arrays->names[1] = "name";
    arrays->text[7] = 'x';
    arrays->square[1][1] = 2;
    arrays->many.back() = {3, 4};
    mp::detail::ByteWriter bytes;
    mp::detail::encode(bytes, *arrays);
    mp::detail::ByteReader reader(bytes.data());
    auto back = std::make_unique<Arrays>();
    mp::detail::decode_into(reader, *back);
    CHECK(reader.left() == 0);
    CHECK(*back == *arrays);
}

TEST_CASE("plain struct: one that holds itself") {
    STATIC_REQUIRE(Archivable<Tree>);
    Tree tree;
    tree.children.push_back({1, {{2, {}, {}}}, {}});
    tree.named["three"].value = 3;
    CHECK(there_and_back(tree) == tree);
}

TEST_CASE("plain struct: nested too deep, it is an error") {
    Tree tree;
    Tree* at = &tree;
    for (int i = 0; i < 3000; ++i) {
        at = &at->children.emplace_back();
    }
    CHECK_THROWS_AS(mp::dumps(tree), mp::SerializationError);
}

TEST_CASE("plain struct: members that only move, none at all, final, in a function") {
    MoveOnly value{std::make_unique<int>(1), std::make_unique<Point>(Point{2, 3})};
    const auto back = there_and_back(value);
    CHECK(*back.number == 1);
    CHECK(*back.point == Point{2, 3});
    CHECK(there_and_back(Empty()) == Empty());
    CHECK(there_and_back(std::vector<Empty>(3)).size() == 3);
    const Final last{1, "text"};
    CHECK(there_and_back(last) == last);
    CHECK(there_and_back(Hidden{1, "hidden"}).text == "hidden");
    struct Local {
        int number = 0;
        std::vector<std::string> texts;
    };
    CHECK(there_and_back(Local{1, {"local"}}).texts[0] == "local");
}

TEST_CASE("plain struct: a hundred members, in their order") {
    STATIC_REQUIRE(Parts<Hundred>::count == 100);
    Hundred value;
    value.a1 = 1;
    value.j9 = 99;
    const auto bytes = mp::dumps(value);
    CHECK(mp::loads<Hundred>(bytes) == value);
    STATIC_REQUIRE(Parts<HundredAndOne>::obstacle == Obstacle::too_many_members);
}

TEST_CASE("plain struct: members that braces do not initialise are counted as well") {
    STATIC_REQUIRE(Parts<Initialised>::count == 3);
    const auto back = there_and_back(Initialised{Explicit(4), 5, Explicit(6)});
    CHECK(back.first.number() == 4);
    CHECK(back.second == 5);
    CHECK(back.third.number() == 6);
    STATIC_REQUIRE(Parts<WithGreedy>::count == 3);
    CHECK(there_and_back(WithGreedy{{}, 5, {}}).second == 5);
    const Named named{1, "text"};
    CHECK(there_and_back(named) == named);
}

TEST_CASE("plain struct: one without gaps goes in a block, one with gaps by member") {
    STATIC_REQUIRE(is_bitwise<Point>());
    STATIC_REQUIRE(is_bitwise<std::array<Point, 3>>());
    STATIC_REQUIRE(is_bitwise<std::chrono::seconds>());
    STATIC_REQUIRE_FALSE(is_bitwise<Padded>());
    STATIC_REQUIRE_FALSE(is_bitwise<Job>());
    STATIC_REQUIRE_FALSE(is_bitwise<WithPointer>());
    const std::vector<Point> points(1000, Point{1, 2});
    CHECK(there_and_back(points) == points);
    // What nobody wrote does not travel.
    unsigned char ones[sizeof(Padded)];
    std::memset(ones, 1, sizeof ones);
    auto* const padded = ::new (ones) Padded;
    padded->number = 7;
    mp::detail::ByteWriter bytes;
    mp::OutArchive(bytes) << *padded;
    CHECK(bytes.size() <= 1 + sizeof(int) + sizeof(double));
}

TEST_CASE("plain struct: a class's own serialize() wins") {
    keeps_its_own_everywhere<Member>();
    keeps_its_own_everywhere<PrivateMember>();
    keeps_its_own_everywhere<FinalMember>();
    keeps_its_own_everywhere<FinalPrivateMember>();
    keeps_its_own_everywhere<SplitMember>();
    keeps_its_own_everywhere<Inherited>();
    keeps_its_own_everywhere<Versioned>();
    keeps_its_own_everywhere<FreeHere>();
    keeps_its_own_everywhere<FreeInBoost>();
    keeps_its_own_everywhere<SplitFree>();
    keeps_its_own<ByName>();
    CHECK(kind_of<Constrained>() == Kind::object);
}

TEST_CASE("plain struct: what the libraries archive themselves stays theirs") {
    STATIC_REQUIRE(kind_of<std::array<int, 3>>() == Kind::array);
    STATIC_REQUIRE(kind_of<std::pair<int, int>>() == Kind::tuple);
    STATIC_REQUIRE(kind_of<std::chrono::seconds>() == Kind::duration);
    STATIC_REQUIRE(kind_of<std::monostate>() == Kind::empty);
    STATIC_REQUIRE(kind_of<Virtual>() == Kind::object);
}

TEST_CASE("plain struct: pointers and views do not travel in one either") {
    STATIC_REQUIRE_FALSE(Archivable<WithPointer>);
    STATIC_REQUIRE_FALSE(Archivable<WithClassPointer>);
    STATIC_REQUIRE_FALSE(Archivable<WithView>);
    STATIC_REQUIRE_FALSE(Archivable<Deep>);
    STATIC_REQUIRE_FALSE(Archivable<std::vector<WithPointer>>);
    STATIC_REQUIRE(Archivable<WithOddPointer>);
}

TEST_CASE("plain struct: what cannot be taken apart is known") {
    STATIC_REQUIRE(Parts<Derived>::obstacle == Obstacle::base_class);
    STATIC_REQUIRE(Parts<DerivedFromEmpty>::obstacle == Obstacle::base_class);
    STATIC_REQUIRE(Parts<NamelessUnion>::obstacle == Obstacle::union_member);
    STATIC_REQUIRE(Parts<NamedUnion>::obstacle == Obstacle::union_member);
    STATIC_REQUIRE(Parts<WithReference>::obstacle == Obstacle::reference_member);
    STATIC_REQUIRE(Parts<NotDefault>::obstacle == Obstacle::not_default_constructible);
#if !defined(__clang__) || __clang_major__ >= 16
    STATIC_REQUIRE(Parts<BitFields>::obstacle == Obstacle::bit_field);
#endif
}

TEST_CASE("plain struct: a message that is cut anywhere is refused") {
    const auto bytes = mp::dumps(some_job());
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::span<const std::byte> cut(bytes.data(), size);
        CHECK_THROWS_AS(mp::loads<Job>(cut), mp::SerializationError);
    }
}
