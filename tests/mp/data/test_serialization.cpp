// SPDX-License-Identifier: BSL-1.0
// Graphs of objects, polymorphic classes, and the rest of the standard types.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <boost/serialization/optional.hpp>

#include <filesystem>
#include <forward_list>
#include <memory>
#include <optional>
#include <queue>
#include <stack>
#include <string>
#include <tuple>
#include <utility>
#include <variant>
#include <vector>

// From Boost 1.84 on, there are other ways to serialise these; see std_serialize.hpp.
#if __has_include(<boost/serialization/std_variant.hpp>)
#include <boost/serialization/std_variant.hpp>
#endif

// The tests cut graphs in the middle. Boost drops the nodes under construction then.
extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace {

class LeaksAllowed {
public:
    LeaksAllowed() {
        if (__lsan_disable != nullptr) {
            __lsan_disable();
        }
    }

    LeaksAllowed(const LeaksAllowed&) = delete;
    LeaksAllowed& operator=(const LeaksAllowed&) = delete;

    ~LeaksAllowed() {
        if (__lsan_enable != nullptr) {
            __lsan_enable();
        }
    }
};

struct Node {
    int value = 0;
    std::shared_ptr<Node> left;
    std::shared_ptr<Node> right;
    std::weak_ptr<Node> up;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& left& right& up;
    }
};

struct Link {
    int value = 0;
    Link* next = nullptr;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value& next;
    }
};

// A pointer to an object that was saved by value before.
struct Holder {
    Link own;
    Link* to_own = nullptr;
    int tail = 0;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& own& to_own& tail;
    }
};

struct VectorHolder {
    std::vector<int> own;
    std::vector<int>* to_own = nullptr;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& own& to_own;
    }
};

struct Shape {
    std::string name;

    virtual ~Shape() = default;
    virtual double area() const = 0;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& name;
    }
};

struct Square : Shape {
    double side = 0;

    double area() const override { return side * side; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::base_object<Shape>(*this);
        ar& side;
    }
};

struct Strip : Shape {
    double length = 0;

    double area() const override { return length; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::base_object<Shape>(*this);
        ar& length;
    }
};

struct Forgotten : Shape {
    double area() const override { return 0; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& boost::serialization::base_object<Shape>(*this);
    }
};

struct Rich {
    std::optional<int> maybe;
    std::variant<std::monostate, std::string, int> either;
    std::tuple<int, std::string> both;
    std::chrono::seconds age{0};
    std::filesystem::path path;
    std::vector<double> block;
    std::vector<bool> bits;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& maybe& either& both& age& path& block& bits;
    }

    bool operator==(const Rich&) const = default;
};

// Written for Boost's binary archives by name.
struct Concrete {
    int x = 0;

    void serialize(boost::archive::binary_oarchive& ar, unsigned) { ar& x; }

    void serialize(boost::archive::binary_iarchive& ar, unsigned) { ar& x; }
};

class WithoutDefault {
public:
    explicit WithoutDefault(int x) : x_(x) {}

    int x() const { return x_; }

    template <class Archive>
    void serialize(Archive&, unsigned) {}

private:
    int x_;
};

template <class Archive>
void save_construct_data(Archive& ar, const WithoutDefault* value, unsigned) {
    const int x = value->x();
    ar << x;
}

template <class Archive>
void load_construct_data(Archive& ar, WithoutDefault* value, unsigned) {
    int x = 0;
    ar >> x;
    ::new (value) WithoutDefault(x);
}

template <class T>
T there_and_back(const T& value) {
    return mp::loads<T>(mp::dumps(value));
}

}  // namespace

template <>
inline constexpr bool mp::use_binary_archive<Concrete> = true;
template <>
inline constexpr bool mp::is_archivable<Link*> = true;

BOOST_SERIALIZATION_ASSUME_ABSTRACT(Shape)
BOOST_CLASS_EXPORT(Square)
BOOST_CLASS_EXPORT(Strip)

TEST_CASE("shared_ptr: shared nodes, a cycle and weak_ptr keep their shape") {
    auto shared = std::make_shared<Node>();
    shared->value = 7;
    auto root = std::make_shared<Node>();
    root->value = 1;
    root->left = root->right = shared;
    shared->up = root;
    shared->left = root;
    const std::vector<std::shared_ptr<Node>> graph = {root, shared, nullptr};
    const auto back = there_and_back(graph);
    REQUIRE(back.size() == 3);
    CHECK(back[0]->left == back[1]);
    CHECK(back[0]->right == back[1]);
    CHECK(back[1]->left == back[0]);
    CHECK(back[1]->up.lock() == back[0]);
    CHECK(back[2] == nullptr);
    CHECK(back[1]->value == 7);
    CHECK(back[1].use_count() == 3);
    shared->left.reset();
    back[1]->left.reset();
}

TEST_CASE("unique_ptr: exported classes travel behind an abstract one") {
    std::vector<std::unique_ptr<Shape>> shapes;
    auto square = std::make_unique<Square>();
    square->side = 3;
    square->name = "square";
    shapes.push_back(std::move(square));
    auto strip = std::make_unique<Strip>();
    strip->length = 12;
    shapes.push_back(std::move(strip));

    mp::detail::ByteWriter bytes;
    mp::OutArchive out(bytes);
    const std::string text = "between";
    Square by_value;
    by_value.side = 5;
    out << 11 << shapes << text << by_value;
    CHECK(out.went_full());

    mp::detail::ByteReader reader(bytes.data());
    mp::InArchive in(reader);
    int number = 0;
    std::vector<std::unique_ptr<Shape>> back;
    std::string between;
    Square value;
    in >> number >> back >> between >> value;
    CHECK(value.area() == 25);
    CHECK(number == 11);
    CHECK(between == "between");
    REQUIRE(back.size() == 2);
    CHECK(back[0]->area() == 9);
    CHECK(back[0]->name == "square");
    CHECK(back[1]->area() == 12);
}

TEST_CASE("dumps: an object saved by pointer and then by value is an error") {
    const auto link = std::make_shared<Node>();
    mp::detail::ByteWriter bytes;
    mp::OutArchive out(bytes);
    out << link;
    CHECK_THROWS_AS(out << *link, boost::archive::archive_exception);
    struct Both {
        std::shared_ptr<Node> pointer;
        void serialize(mp::OutArchive& ar, unsigned) { ar << pointer << *pointer; }
    };
    CHECK_THROWS_AS(mp::dumps(Both{link}), mp::SerializationError);
}

TEST_CASE("shared_ptr: two pointers to one polymorphic object stay two") {
    const std::shared_ptr<Shape> strip = std::make_shared<Strip>();
    const auto back = there_and_back(std::pair(strip, strip));
    CHECK(back.first == back.second);
    CHECK(dynamic_cast<Strip*>(back.first.get()) != nullptr);
}

TEST_CASE("pointers: a cycle of raw ones is rebuilt, the caller owns it") {
    Link first{1, nullptr};
    Link second{2, &first};
    first.next = &second;
    Link* const pointer = &first;
    Link* back = there_and_back<Link*>(pointer);
    CHECK(back->value == 1);
    CHECK(back->next->value == 2);
    CHECK(back->next->next == back);
    delete back->next;
    delete back;
}

TEST_CASE("pointers: to a member that was saved by value") {
    Holder holder;
    holder.own.value = 5;
    holder.to_own = &holder.own;
    holder.tail = 77;
    mp::detail::ByteWriter bytes;
    mp::detail::encode(bytes, holder);
    mp::detail::ByteReader reader(bytes.data());
    Holder back;
    mp::detail::decode_into(reader, back);
    CHECK(back.to_own == &back.own);
    CHECK(back.own.value == 5);
    CHECK(back.tail == 77);
}

TEST_CASE("pointers: to a standard container that was saved by value") {
    VectorHolder holder;
    holder.own = {1, 2, 3};
    holder.to_own = &holder.own;
    mp::detail::ByteWriter bytes;
    mp::detail::encode(bytes, holder);
    mp::detail::ByteReader reader(bytes.data());
    VectorHolder back;
    mp::detail::decode_into(reader, back);
    CHECK(back.to_own == &back.own);
    CHECK(back.own == std::vector<int>{1, 2, 3});
}

TEST_CASE("pointers: into a vector and into a map, however large") {
    std::vector<Link> links(1000);
    links[999].next = &links[0];
    links[0].value = 9;
    const auto back = there_and_back(links);
    CHECK(back[999].next == &back[0]);
    CHECK(back[0].value == 9);

    std::map<int, Holder> holders;
    for (int i = 0; i < 100; ++i) {
        holders[i].own.value = i;
        holders[i].to_own = &holders[(i + 99) % 100].own;
    }
    holders[0].to_own = nullptr;
    const auto there = there_and_back(holders);
    for (int i = 1; i < 100; ++i) {
        CHECK(there.at(i).to_own == &there.at(i - 1).own);
    }
}

TEST_CASE("unique_ptr: a class without a default constructor travels") {
    const auto back = there_and_back(std::make_unique<WithoutDefault>(6));
    CHECK(back->x() == 6);
    std::vector<WithoutDefault> values = {WithoutDefault(1), WithoutDefault(2)};
    CHECK(there_and_back(values)[1].x() == 2);
}

TEST_CASE("shared_ptr: standard types inside an object behind a pointer") {
    auto rich = std::make_shared<Rich>();
    rich->maybe = 3;
    rich->either = "text";
    rich->both = {1, "one"};
    rich->age = std::chrono::seconds(5);
    rich->path = "/some/where";
    rich->block = std::vector<double>(2000, 1.5);
    rich->bits = {true, false};
    CHECK(*there_and_back(rich) == *rich);
    CHECK(there_and_back(*rich) == *rich);
}

TEST_CASE("serialization.hpp: the rest of Boost's standard types travel by value") {
    CHECK(there_and_back(std::filesystem::path("/a/b")) == "/a/b");
    const std::forward_list<int> list = {1, 2, 3};
    CHECK(there_and_back(list) == list);
    CHECK(there_and_back(std::bitset<9>(257)) == std::bitset<9>(257));
    std::stack<int> stack;
    stack.push(4);
    CHECK(there_and_back(stack) == stack);
    std::queue<int> queue;
    queue.push(4);
    CHECK(there_and_back(queue) == queue);
    const std::valarray<double> values = {1, 2};
    CHECK(there_and_back(values)[1] == 2);
}

TEST_CASE("use_binary_archive: a class written for Boost's own archives travels") {
    const std::vector<Concrete> values = {Concrete{3}, Concrete{4}};
    CHECK(there_and_back(values)[1].x == 4);
    auto bytes = mp::dumps(values);
    bytes.resize(bytes.size() - 1);
    CHECK_THROWS_AS(mp::loads<std::vector<Concrete>>(bytes), mp::SerializationError);
}

TEST_CASE("dumps: a class that is not exported is an error that says what to do") {
    const std::unique_ptr<Shape> forgotten = std::make_unique<Forgotten>();
    try {
        mp::dumps(forgotten);
        FAIL("nothing thrown");
    } catch (const mp::SerializationError& error) {
        INFO(error.what());
        CHECK(error.phase == mp::SerializationPhase::encode);
        const std::string text = error.what();
        CHECK(text.find("BOOST_CLASS_EXPORT") != std::string::npos);
        CHECK(text.find("<mp/serialization.hpp>") != std::string::npos);
    }
}

TEST_CASE("loads: a graph that was cut anywhere is refused") {
    const LeaksAllowed leaks;
    auto root = std::make_shared<Node>();
    root->left = std::make_shared<Node>();
    root->right = root->left;
    const auto bytes = mp::dumps(root);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::vector<std::byte> cut(
            bytes.begin(), bytes.begin() + static_cast<std::ptrdiff_t>(size)
        );
        CHECK_THROWS_AS(mp::loads<std::shared_ptr<Node>>(cut), mp::SerializationError);
    }
}

// ThreadSanitizer counts calls inside each other, to 65,535.
TEST_CASE(
    "dumps and loads: a list of very many pointers is an error, a shorter is not",
    "[no-tsan]"
) {
    const LeaksAllowed leaks;
    Link* head = nullptr;
    for (int i = 0; i < 100'000; ++i) {
        head = new Link{i, head};
    }
    CHECK_THROWS_AS(mp::dumps<Link*>(head), mp::SerializationError);
    Link* const behind = head;
    for (int i = 0; i < 999; ++i) {
        head = head->next;
    }
    Link* const tail = std::exchange(head->next, nullptr);
    Link* back = there_and_back<Link*>(behind);
    int count = 0;
    for (Link* at = back; at != nullptr; ++count) {
        delete std::exchange(at, at->next);
    }
    CHECK(count == 1000);
    for (Link* at = tail; at != nullptr;) {
        delete std::exchange(at, at->next);
    }
    for (Link* at = behind; at != nullptr;) {
        delete std::exchange(at, at->next);
    }
}
