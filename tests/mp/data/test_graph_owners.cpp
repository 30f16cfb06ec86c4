// SPDX-License-Identifier: BSL-1.0
// Who owns the objects of a graph that was read: nobody twice, and nobody by a pointer
// that owns nothing.
#include "mp/errors.hpp"
#include "mp/reduction.hpp"
#include "mp/serialization.hpp"

#include "support/catch.hpp"

#include <boost/make_shared.hpp>
#include <boost/serialization/split_member.hpp>
#include <boost/shared_ptr.hpp>

#include <cstdint>
#include <memory>
#include <utility>
#include <vector>

extern "C" void __lsan_disable() __attribute__((weak));
extern "C" void __lsan_enable() __attribute__((weak));

namespace {

/// What only raw pointers name may belong to nobody.
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

struct Thing : std::enable_shared_from_this<Thing> {
    static inline int alive = 0;
    std::int32_t number = 0;

    Thing() { ++alive; }

    Thing(const Thing& that) : std::enable_shared_from_this<Thing>(that) { ++alive; }

    Thing& operator=(const Thing&) = default;

    ~Thing() { --alive; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& number;
    }
};

template <class... Pointers>
struct Message {
    std::tuple<Pointers...> pointers;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        std::apply([&](auto&... each) { ((ar & each), ...); }, pointers);
    }
};

using Raw = Thing*;
using Shared = std::shared_ptr<Thing>;
using Weak = std::weak_ptr<Thing>;
using Unique = std::unique_ptr<Thing>;
using BoostShared = boost::shared_ptr<Thing>;
using BoostWeak = boost::weak_ptr<Thing>;

template <class... Pointers>
Message<Pointers...> there_and_back(const Message<Pointers...>& message) {
    return mp::loads<Message<Pointers...>>(mp::dumps(message));
}

/// Owners that know nothing of each other are a mistake on this side, too: one lets go.
template <class... Pointers, class Undo>
void is_refused(Message<Pointers...>& message, Undo undo) {
    const auto bytes = mp::dumps(message);
    undo();
    const int before = Thing::alive;
    CHECK_THROWS_AS((mp::loads<Message<Pointers...>>(bytes)), mp::SerializationError);
    CHECK(Thing::alive == before);
}

struct Holder {
    static inline int alive = 0;
    Thing part;
    std::unique_ptr<Thing> own;
    std::shared_ptr<Thing> shared;
    std::unique_ptr<Holder> next;

    Holder() { ++alive; }

    Holder(const Holder&) = delete;
    Holder& operator=(const Holder&) = delete;

    ~Holder() { --alive; }

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& part& own& shared& next;
    }
};

/// Several of these, each named by those behind it.
struct Link {
    std::vector<std::shared_ptr<Link>> links;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& links;
    }
};

std::vector<std::shared_ptr<Link>> chain_of(int length) {
    std::vector<std::shared_ptr<Link>> links;
    for (int i = 0; i < length; ++i) {
        links.push_back(std::make_shared<Link>());
        if (i > 0) {
            links.back()->links.push_back(links[links.size() - 2]);
        }
    }
    return links;
}

/// From the end, so that no destructor calls another.
void take_apart(std::vector<std::shared_ptr<Link>>& links) {
    while (!links.empty()) {
        links.pop_back();
    }
}

/// Reads into a variable that a pointer then names.
struct ByDetour {
    static inline int alive = 0;
    Thing thing;
    Thing* to = nullptr;  // not owned

    ByDetour() { ++alive; }

    ByDetour(const ByDetour&) = delete;
    ByDetour& operator=(const ByDetour&) = delete;

    ~ByDetour() { --alive; }

    template <class Archive>
    void save(Archive& ar, unsigned) const {
        ar << thing << to;
    }

    template <class Archive>
    void load(Archive& ar, unsigned) {
        Thing read;
        ar >> read >> to;
        thing.number = read.number;
    }

    BOOST_SERIALIZATION_SPLIT_MEMBER()
};

struct Parent;

struct Child {
    Parent* parent = nullptr;  // not owned
    std::weak_ptr<Parent> up;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& parent& up;
    }
};

struct Parent {
    std::vector<std::shared_ptr<Child>> children;
    std::unique_ptr<Child> favourite;

    template <class Archive>
    void serialize(Archive& ar, unsigned) {
        ar& children& favourite;
    }
};

}  // namespace

TEST_CASE("loads: a weak_ptr before its shared_ptr and after it names the same object"
) {
    const auto thing = std::make_shared<Thing>();
    thing->number = 5;
    const Message<Weak, Shared, Weak> message{{thing, thing, thing}};
    const auto back = there_and_back(message);
    const auto& [first, owner, last] = back.pointers;
    CHECK(first.lock() == owner);
    CHECK(last.lock() == owner);
    CHECK(owner.use_count() == 1);
    CHECK(owner->number == 5);
    CHECK(owner->shared_from_this() == owner);
}

TEST_CASE("loads: a weak_ptr without an owner in the message is expired") {
    const auto thing = std::make_shared<Thing>();
    const int before = Thing::alive;
    const auto back = there_and_back(Message<Weak, Weak>{{thing, thing}});
    CHECK(std::get<0>(back.pointers).expired());
    CHECK(std::get<1>(back.pointers).expired());
    CHECK(Thing::alive == before);
}

TEST_CASE("loads: what a weak_ptr and a raw pointer name belongs to the raw one") {
    const auto thing = std::make_shared<Thing>();
    thing->number = 9;
    const int before = Thing::alive;
    {
        const auto back = there_and_back(Message<Raw, Weak>{{thing.get(), thing}});
        const auto& [raw, weak] = back.pointers;
        CHECK(weak.expired());
        CHECK(raw->number == 9);
        delete raw;
    }
    {
        const auto back = there_and_back(Message<Weak, Raw>{{thing, thing.get()}});
        const auto& [weak, raw] = back.pointers;
        CHECK(weak.expired());
        CHECK(raw->number == 9);
        delete raw;
    }
    CHECK(Thing::alive == before);
}

TEST_CASE(
    "loads: what stands in an object that only a weak_ptr names stays if it is named"
) {
    const LeaksAllowed leaks;  // the holder belongs to nobody
    const auto holder = std::make_shared<Holder>();
    holder->own = std::make_unique<Thing>();
    holder->shared = std::make_shared<Thing>();
    holder->next = std::make_unique<Holder>();
    holder->next->own = std::make_unique<Thing>();
    for (Thing* const thing :
         {&holder->part,
          holder->own.get(),
          holder->shared.get(),
          &holder->next->part,
          holder->next->own.get()}) {
        thing->number = 9;
        const int things = Thing::alive;
        using Message1 = Message<std::weak_ptr<Holder>, Raw>;
        const auto back = there_and_back(Message1{{holder, thing}});
        CHECK(std::get<1>(back.pointers)->number == 9);
        CHECK(Thing::alive > things);
        if (thing == &holder->part || thing == &holder->next->part) {
            continue;  // a part is written before what points at it
        }
        using Message2 = Message<Raw, std::weak_ptr<Holder>>;
        const auto again = there_and_back(Message2{{thing, holder}});
        CHECK(std::get<0>(again.pointers)->number == 9);
    }
}

TEST_CASE(
    "loads: an object that only a weak_ptr names goes, unless what it owns is named"
) {
    const auto holder = std::make_shared<Holder>();
    holder->own = std::make_unique<Thing>();
    holder->shared = std::make_shared<Thing>();
    holder->shared->number = 7;
    const int holders = Holder::alive;
    const auto back = there_and_back(Message<std::weak_ptr<Holder>, Shared, Raw>{
        {holder, holder->shared, holder->shared.get()}});
    CHECK(Holder::alive == holders);
    CHECK(std::get<0>(back.pointers).expired());
    CHECK(std::get<1>(back.pointers).use_count() == 1);
    CHECK(std::get<2>(back.pointers)->number == 7);
}

TEST_CASE("loads: objects that own each other in a long chain are refused in time") {
    auto links = chain_of(100'000);
    const auto bytes = mp::dumps(links);
    take_apart(links);
    using Links = std::vector<std::shared_ptr<Link>>;
    CHECK_THROWS_AS(mp::loads<Links>(bytes), mp::SerializationError);
    links = chain_of(1000);
    Links back = mp::loads<Links>(mp::dumps(links));
    take_apart(links);
    CHECK(back[999]->links[0] == back[998]);
    take_apart(back);
}

TEST_CASE("loads: an object whose pointer names a variable that is gone is destroyed") {
    const auto value = std::make_unique<ByDetour>();
    value->to = &value->thing;
    const auto bytes = mp::dumps(value);
    const int before = ByDetour::alive;
    CHECK_THROWS_AS(
        mp::loads<std::unique_ptr<ByDetour>>(bytes), mp::SerializationError
    );
    CHECK_THROWS_AS(
        mp::loads<std::shared_ptr<ByDetour>>(bytes), mp::SerializationError
    );
    CHECK(ByDetour::alive == before);
}

TEST_CASE("loads: a raw pointer may name what others own, in any order") {
    const auto shared = std::make_shared<Thing>();
    const auto a = there_and_back(Message<Raw, Shared>{{shared.get(), shared}});
    CHECK(std::get<0>(a.pointers) == std::get<1>(a.pointers).get());
    const auto b =
        there_and_back(Message<Shared, Raw, Shared>{{shared, shared.get(), shared}});
    CHECK(std::get<1>(b.pointers) == std::get<0>(b.pointers).get());
    CHECK(std::get<0>(b.pointers).use_count() == 2);
    Message<Raw, Unique> before;
    std::get<1>(before.pointers) = std::make_unique<Thing>();
    std::get<0>(before.pointers) = std::get<1>(before.pointers).get();
    const auto c = there_and_back(before);
    CHECK(std::get<0>(c.pointers) == std::get<1>(c.pointers).get());
    Message<Unique, Raw> after;
    std::get<0>(after.pointers) = std::make_unique<Thing>();
    std::get<1>(after.pointers) = std::get<0>(after.pointers).get();
    const auto d = there_and_back(after);
    CHECK(std::get<1>(d.pointers) == std::get<0>(d.pointers).get());
}

TEST_CASE("loads: two owners that know nothing of each other are refused") {
    const int before = Thing::alive;
    auto* const thing = new Thing;
    {
        Message<Unique, Unique> two;
        std::get<0>(two.pointers).reset(thing);
        std::get<1>(two.pointers).reset(thing);
        is_refused(two, [&] {
            static_cast<void>(std::get<1>(two.pointers).release());
        });
    }
    {
        Message<Raw, Unique, Shared> three;
        auto* const other = new Thing;
        std::get<0>(three.pointers) = other;
        std::get<1>(three.pointers).reset(other);
        std::get<2>(three.pointers).reset(other);
        is_refused(three, [&] {
            static_cast<void>(std::get<1>(three.pointers).release());
        });
    }
    {
        Message<Shared, Unique> mixed;
        std::get<0>(mixed.pointers) = std::make_shared<Thing>();
        std::get<1>(mixed.pointers).reset(std::get<0>(mixed.pointers).get());
        is_refused(mixed, [&] {
            static_cast<void>(std::get<1>(mixed.pointers).release());
        });
    }
    {
        Message<Weak, Unique> mixed;
        const auto owner = std::make_shared<Thing>();
        std::get<0>(mixed.pointers) = owner;
        std::get<1>(mixed.pointers).reset(owner.get());
        is_refused(mixed, [&] {
            static_cast<void>(std::get<1>(mixed.pointers).release());
        });
    }
    {
        Message<Shared, BoostShared> mixed;
        const auto owner = std::make_shared<Thing>();
        std::get<0>(mixed.pointers) = owner;
        std::get<1>(mixed.pointers) = BoostShared(owner.get(), [](Thing*) {});
        is_refused(mixed, [] {});
    }
    CHECK(Thing::alive == before);
}

TEST_CASE("loads: boost's shared pointers share, and its weak ones expire") {
    const auto thing = boost::make_shared<Thing>();
    const auto back = there_and_back(Message<BoostWeak, BoostShared, BoostShared>{
        {thing, thing, thing}});
    const auto& [weak, one, other] = back.pointers;
    CHECK(one == other);
    CHECK(weak.lock() == one);
    CHECK(one.use_count() == 2);
    const auto expired = there_and_back(Message<BoostWeak>{{thing}});
    CHECK(std::get<0>(expired.pointers).expired());
}

TEST_CASE("loads: children find the parent that is being read, and leave it its owner"
) {
    auto parent = std::make_shared<Parent>();
    for (int i = 0; i < 3; ++i) {
        parent->children.push_back(std::make_shared<Child>());
        parent->children.back()->parent = parent.get();
        parent->children.back()->up = parent;
    }
    parent->favourite = std::make_unique<Child>();
    parent->favourite->parent = parent.get();
    const auto back = mp::loads<std::shared_ptr<Parent>>(mp::dumps(parent));
    CHECK(back.use_count() == 1);
    for (const auto& child : back->children) {
        CHECK(child->parent == back.get());
        CHECK(child->up.lock() == back);
    }
    CHECK(back->favourite->parent == back.get());
    auto alone = std::make_unique<Parent>();
    alone->favourite = std::make_unique<Child>();
    alone->favourite->parent = alone.get();
    const auto there = mp::loads<std::unique_ptr<Parent>>(mp::dumps(alone));
    CHECK(there->favourite->parent == there.get());
}

TEST_CASE("loads: a graph that is cut destroys what it had made for owners") {
    std::vector<Shared> things(4);
    for (auto& thing : things) {
        thing = std::make_shared<Thing>();
    }
    const int before = Thing::alive;
    const auto bytes = mp::dumps(things);
    for (std::size_t size = 0; size < bytes.size(); ++size) {
        const std::span<const std::byte> cut(bytes.data(), size);
        CHECK_THROWS_AS(mp::loads<std::vector<Shared>>(cut), mp::SerializationError);
        CHECK(Thing::alive == before);
    }
}
