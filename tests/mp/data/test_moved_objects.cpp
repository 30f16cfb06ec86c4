// SPDX-License-Identifier: BSL-1.0
// Objects that move while a message is read: pointers to them that follow find them,
// and one that would be left behind is an error.
// Long because each container moves its elements in a way of its own.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <deque>
#include <forward_list>
#include <list>
#include <map>
#include <memory>
#include <new>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <valarray>
#include <vector>

namespace {

struct Item {
    std::int32_t number = 0;
    Item* other = nullptr;  // not owned

    bool operator<(const Item& that) const { return number < that.number; }

    bool operator==(const Item& that) const { return number == that.number; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number& other;
    }
};

struct Hash {
    std::size_t operator()(const Item& item) const {
        return static_cast<std::size_t>(item.number);
    }
};

/// An item that was copied is no longer the one that was read.
struct CopiedItem {
    Item item;

    CopiedItem() = default;
    explicit CopiedItem(int number) { item.number = number; }
    CopiedItem(const CopiedItem& that) : item(that.item) {}
    CopiedItem& operator=(const CopiedItem&) = default;
    ~CopiedItem() = default;

    bool operator<(const CopiedItem& that) const { return item < that.item; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& item;
    }
};

/// Its items stand in memory that a copy does not take along.
struct CopiedItems {
    std::vector<Item> items;

    CopiedItems() = default;
    explicit CopiedItems(int number) : items(2) { items[0].number = number; }
    CopiedItems(const CopiedItems& that) : items(that.items) {}
    CopiedItems& operator=(const CopiedItems&) = default;
    ~CopiedItems() = default;

    bool operator<(const CopiedItems& that) const { return items < that.items; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& items;
    }
};

/// Far larger than its bytes, so that a vector of them grows while it is read.
struct Wide {
    std::optional<std::vector<std::string>> filler[64];
    Item item;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& item;
    }
};

/// Elements that point to each other while they are read.
struct WideItem {
    std::int64_t filler[64] = {};  // not archived
    std::int32_t number = 0;
    WideItem* other = nullptr;  // not owned

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number& other;
    }
};

/// Made by a function of its own.
class MadeItem {
public:
    explicit MadeItem(std::int32_t number) { item.number = number; }

    bool operator<(const MadeItem& that) const { return item < that.item; }

    bool operator==(const MadeItem& that) const { return item == that.item; }

    Item item;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& item;
    }
};

template <class Archive>
void load_construct_data(Archive&, MadeItem* place, unsigned) {
    ::new (place) MadeItem(0);
}

/// Made by a function of its own, and names the one before it.
class MadeLink {
public:
    explicit MadeLink(std::int32_t its_number) : number(its_number) {}

    std::int32_t number;
    MadeLink* before = nullptr;  // not owned

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number& before;
    }
};

template <class Archive>
void load_construct_data(Archive&, MadeLink* place, unsigned) {
    ::new (place) MadeLink(0);
}

struct MadeHash {
    std::size_t operator()(const MadeItem& made) const { return Hash()(made.item); }
};

/// Names what stands in the value itself.
struct PointsIntoItself {
    Item item;
    Item* to = nullptr;  // not owned

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& item& to;
    }
};

template <class Items>
struct Pointing {
    Items items;
    std::vector<Item*> to;  // not owned

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& items& to;
    }
};

template <class T>
struct Behind {
    T value;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& value;
    }
};

/// Reads what it keeps into a variable of its own first.
struct ByDetour {
    Item item;
    Item* to = nullptr;  // not owned
    bool tells = true;   // not archived

    template <class Archive>
    void save(Archive& ar, unsigned) const {
        ar << item << to;
    }

    template <class Archive>
    void load(Archive& ar, unsigned) {
        Item read;
        ar >> read;
        item = read;
        if (tells) {
            ar.reset_object_address(&item, &read);
        }
        ar >> to;
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()
};

/// The same, and another object comes to point there.
struct DetourAndPointer {
    ByDetour detour;
    Item* late = nullptr;  // not owned

    explicit DetourAndPointer(bool tells = true) { detour.tells = tells; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& detour& late;
    }
};

template <class T>
void read_into(T& back, const T& value) {
    const auto bytes = mp::dumps(value);
    mp::detail::ByteReader in(bytes);
    mp::detail::decode_into(in, back);
    CHECK(in.left() == 0);
}

Item* item_of(const Item& item) {
    return const_cast<Item*>(&item);
}

Item* item_of(const MadeItem& made) {
    return const_cast<Item*>(&made.item);
}

template <class T>
Item* item_of(const std::pair<const T, Item>& pair) {
    return const_cast<Item*>(&pair.second);
}

template <class T>
Item* item_of(const std::pair<const Item, T>& pair) {
    return const_cast<Item*>(&pair.first);
}

std::vector<Item*> in_order(std::vector<Item*> pointers) {
    // A container that hashes may have another order here.
    std::sort(pointers.begin(), pointers.end());
    return pointers;
}

template <class Items>
std::vector<Item*> addresses_of(const Items& items) {
    std::vector<Item*> pointers;
    for (const auto& item : items) {
        pointers.push_back(item_of(item));
    }
    return in_order(std::move(pointers));
}

/// Each element is pointed at by what comes after all of them, by value and behind a
/// pointer.
template <class Items>
void check_pointers(const char* name, Items items) {
    INFO(name);
    using Value = Pointing<Items>;
    Value value;
    value.items = std::move(items);
    for (const auto& item : value.items) {
        value.to.push_back(item_of(item));
    }
    Value back;
    read_into(back, value);
    CHECK(in_order(back.to) == addresses_of(back.items));
    auto behind = std::make_shared<Behind<Value>>();
    behind->value.items = std::move(value.items);
    behind->value.to.clear();
    for (const auto& item : behind->value.items) {
        behind->value.to.push_back(item_of(item));
    }
    const auto there = mp::loads<std::shared_ptr<Behind<Value>>>(mp::dumps(behind));
    CHECK(in_order(there->value.to) == addresses_of(there->value.items));
}

}  // namespace

TEST_CASE("loads: pointers find the elements of every container") {
    check_pointers("vector", std::vector<Item>{{1}, {2}, {3}});
    check_pointers("deque", std::deque<Item>{{1}, {2}, {3}});
    check_pointers("list", std::list<Item>{{1}, {2}, {3}});
    check_pointers("forward_list", std::forward_list<Item>{{1}, {2}, {3}});
    check_pointers("set", std::set<Item>{{1}, {2}, {3}});
    check_pointers("multiset", std::multiset<Item>{{1}, {1}, {3}});
    check_pointers("unordered_set", std::unordered_set<Item, Hash>{{1}, {2}, {3}});
    check_pointers("map", std::map<int, Item>{{1, {1}}, {2, {2}}, {3, {3}}});
    check_pointers("map by item", std::map<Item, int>{{{1}, 1}, {{2}, 2}, {{3}, 3}});
    check_pointers("multimap", std::multimap<int, Item>{{1, {1}}, {1, {2}}});
    check_pointers("unordered_map", std::unordered_map<int, Item>{{1, {1}}, {2, {2}}});
}

TEST_CASE("loads: pointers find elements that a function makes") {
    using Made = MadeItem;
    const auto make = [](auto items) {
        for (const int number : {1, 2, 3}) {
            items.insert(items.end(), Made(number));
        }
        return items;
    };
    check_pointers("vector", make(std::vector<Made>()));
    check_pointers("deque", make(std::deque<Made>()));
    check_pointers("list", make(std::list<Made>()));
    check_pointers("set", make(std::set<Made>()));
    check_pointers("multiset", make(std::multiset<Made>()));
    check_pointers("unordered_set", make(std::unordered_set<Made, MadeHash>()));
    check_pointers(
        "unordered_multiset", make(std::unordered_multiset<Made, MadeHash>())
    );
    check_pointers("forward_list", std::forward_list<Made>{Made(1), Made(2)});
    check_pointers("no elements", std::forward_list<Made>());
}

TEST_CASE("loads: elements that a function makes may point to each other") {
    const auto linked = [](std::size_t count) {
        std::vector<MadeLink> links;
        links.reserve(count);
        for (std::size_t i = 0; i < count; ++i) {
            links.emplace_back(static_cast<std::int32_t>(i));
            links[i].before = i == 0 ? nullptr : &links[i - 1];
        }
        return links;
    };
    const auto check = [](const std::vector<MadeLink>& links, std::size_t count) {
        REQUIRE(links.size() == count);
        for (std::size_t i = 1; i < count; ++i) {
            REQUIRE(links[i].before == &links[i - 1]);
            REQUIRE(links[i].number == static_cast<std::int32_t>(i));
        }
    };
    const auto few = GENERATE(std::size_t{2}, std::size_t{3}, std::size_t{100});
    std::vector<MadeLink> back;
    read_into(back, linked(few));
    check(back, few);
    // In a graph there is room for any number.
    const std::size_t many = 10'000;
    const auto behind = std::make_shared<std::vector<MadeLink>>(linked(many));
    check(*mp::loads<std::shared_ptr<std::vector<MadeLink>>>(mp::dumps(behind)), many);
}

TEST_CASE("loads: pointers find the elements of a valarray") {
    check_pointers("valarray", std::valarray<Item>{{1}, {2}, {3}});
    using Pair = std::pair<std::int32_t, std::int32_t>;
    const std::valarray<Pair> pairs{{1, 2}, {3, 4}};
    CHECK(mp::loads<std::valarray<Pair>>(mp::dumps(pairs))[1] == Pair(3, 4));
    const auto behind = std::make_shared<std::valarray<double>>(2.5, 100);
    CHECK(
        (*mp::loads<std::shared_ptr<std::valarray<double>>>(mp::dumps(behind)))[99] ==
        2.5
    );
}

TEST_CASE("loads: elements far larger than their bytes may point to each other") {
    const auto link = [](std::vector<WideItem>& items) {
        for (std::size_t i = 1; i < items.size(); ++i) {
            items[i].other = &items[i - 1];
        }
    };
    const auto check = [](const std::vector<WideItem>& items) {
        for (std::size_t i = 1; i < items.size(); ++i) {
            REQUIRE(items[i].other == &items[i - 1]);
        }
    };
    std::vector<WideItem> items(1000);
    link(items);
    std::vector<WideItem> back;
    read_into(back, items);
    check(back);
    const auto behind = std::make_shared<std::vector<WideItem>>(1000);
    link(*behind);
    check(*mp::loads<std::shared_ptr<std::vector<WideItem>>>(mp::dumps(behind)));
    std::vector<std::vector<WideItem>> nested(3, std::vector<WideItem>(500));
    std::vector<std::vector<WideItem>> nested_back;
    for (auto& inner : nested) {
        link(inner);
    }
    read_into(nested_back, nested);
    for (const auto& inner : nested_back) {
        check(inner);
    }
    const auto nested_behind = std::make_unique<decltype(nested)>(std::move(nested));
    const auto nested_there =
        mp::loads<std::unique_ptr<decltype(nested)>>(mp::dumps(nested_behind));
    for (const auto& inner : *nested_there) {
        check(inner);
    }
}

TEST_CASE("loads: a pointer into the value itself is read where it stays") {
    PointsIntoItself value;
    value.item.number = 3;
    value.to = &value.item;
    PointsIntoItself back;
    read_into(back, value);
    CHECK(back.to == &back.item);
    const auto bytes = mp::dumps(value);
    CHECK_THROWS_AS(mp::loads<PointsIntoItself>(bytes), mp::SerializationError);
    const auto behind = std::make_unique<PointsIntoItself>();
    behind->to = &behind->item;
    const auto there = mp::loads<std::unique_ptr<PointsIntoItself>>(mp::dumps(behind));
    CHECK(there->to == &there->item);
}

TEST_CASE("loads: pointers find what a key has in memory of its own") {
    Pointing<std::set<std::vector<Item>>> value;
    value.items = {{{1}, {2}}, {{3}, {4}}};
    for (const auto& items : value.items) {
        value.to.push_back(item_of(items[1]));
    }
    decltype(value) back;
    read_into(back, value);
    CHECK(back.to[0] == &back.items.begin()->at(1));
    CHECK(back.to[1] == &std::next(back.items.begin())->at(1));
}

TEST_CASE("loads: a vector that grows takes its pointers along") {
    Pointing<std::vector<Wide>> value;
    value.items.resize(300);
    for (const std::size_t i : {0U, 1U, 150U, 299U}) {
        value.items[i].item.number = static_cast<std::int32_t>(i);
        value.to.push_back(&value.items[i].item);
    }
    decltype(value) back;
    read_into(back, value);
    CHECK(back.to[0] == &back.items[0].item);
    CHECK(back.to[2] == &back.items[150].item);
    CHECK(back.to[3]->number == 299);
    auto behind = std::make_unique<Pointing<std::vector<Wide>>>();
    behind->items.resize(300);
    behind->to = {&behind->items[7].item, &behind->items[299].item};
    const auto there = mp::loads<decltype(behind)>(mp::dumps(behind));
    CHECK(there->to[0] == &there->items[7].item);
    CHECK(there->to[1] == &there->items[299].item);
}

TEST_CASE("loads: elements that point to each other stay where they are") {
    std::vector<Item> items(10'000);
    for (std::size_t i = 1; i < items.size(); ++i) {
        items[i].other = &items[i - 1];
    }
    std::vector<Item> back;
    read_into(back, items);
    for (std::size_t i = 1; i < items.size(); ++i) {
        REQUIRE(back[i].other == &back[i - 1]);
    }
}

TEST_CASE("loads: a pointer to a key that moves into its set is refused") {
    std::set<Item> items = {{1}, {2}};
    auto& first = const_cast<Item&>(*items.begin());
    first.other = &first;  // read before the key stands in the set
    const auto bytes = mp::dumps(items);
    CHECK_THROWS_AS(mp::loads<std::set<Item>>(bytes), mp::SerializationError);
    auto behind = std::make_unique<Behind<std::set<Item>>>();
    behind->value = items;
    auto& there = const_cast<Item&>(*behind->value.begin());
    there.other = &there;
    CHECK_THROWS_AS(
        mp::loads<decltype(behind)>(mp::dumps(behind)), mp::SerializationError
    );
}

TEST_CASE("loads: an item inside of a key that is copied moves with it") {
    Pointing<std::set<CopiedItem>> value;
    value.items.emplace(1);
    value.items.emplace(2);
    value.to = {item_of(value.items.begin()->item)};
    decltype(value) back;
    read_into(back, value);
    CHECK(back.to[0] == &back.items.begin()->item);
}

TEST_CASE("loads: a pointer to what a copied key left behind is refused") {
    Pointing<std::set<CopiedItems>> value;
    value.items.emplace(1);
    value.to = {item_of(value.items.begin()->items[1])};
    const auto bytes = mp::dumps(value);
    CHECK_THROWS_AS(mp::loads<decltype(value)>(bytes), mp::SerializationError);
    value.to.clear();
    decltype(value) back;
    read_into(back, value);
    CHECK(back.items.size() == 1);
}

TEST_CASE("loads: a variable of a load() is followed when it says where its object went"
) {
    ByDetour value;
    value.item.number = 4;
    value.to = &value.item;
    ByDetour back;
    read_into(back, value);
    CHECK(back.to == &back.item);
    auto behind = std::make_shared<ByDetour>();
    behind->to = &behind->item;
    const auto there = mp::loads<std::shared_ptr<ByDetour>>(mp::dumps(behind));
    CHECK(there->to == &there->item);
}

TEST_CASE("loads: a pointer to a variable of a load() that has returned is refused") {
    DetourAndPointer value(false);
    value.late = &value.detour.item;
    const auto bytes = mp::dumps(value);
    mp::detail::ByteReader in(bytes);
    DetourAndPointer back(false);
    CHECK_THROWS_AS(mp::detail::decode_into(in, back), mp::SerializationError);

    struct Told {
        DetourAndPointer value{true};
    } told;
    told.value.late = &told.value.detour.item;
    DetourAndPointer follows(true);
    const auto fine = mp::dumps(told.value);
    mp::detail::ByteReader again(fine);
    mp::detail::decode_into(again, follows);
    CHECK(follows.late == &follows.detour.item);
}
